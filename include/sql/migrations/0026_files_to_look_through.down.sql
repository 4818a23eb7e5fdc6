DROP INDEX ledger.files_not_loaded, ledger.files_by_landing, ledger.files_by_feed, ledger.files_by_name;
CREATE INDEX files_by_name ON ledger.files (name);
CREATE INDEX files_by_contract ON ledger.files (contract, file_id) WHERE state = 'loaded' AND filled IS NOT NULL;
CREATE INDEX files_by_feed ON ledger.files (contract) WHERE state = 'loaded';
