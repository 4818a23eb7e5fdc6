DROP INDEX ledger.files_without_rows;
ALTER TABLE ledger.streams DROP COLUMN run_id;
DROP TABLE ledger.recounts;
