-- Housekeeping looks for files to seal every hour: without this its cost would follow the history.
CREATE INDEX files_to_seal ON ledger.files (loaded_at, file_id) WHERE state = 'loaded' AND sealed_at IS NULL;
