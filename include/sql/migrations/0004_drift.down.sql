DROP TABLE ledger.feeds;
DROP INDEX ledger.files_by_contract;
ALTER TABLE ledger.files DROP COLUMN drift, DROP COLUMN filled;
