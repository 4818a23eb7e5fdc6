ALTER TABLE ledger.files DROP COLUMN claimed_at, DROP COLUMN rejected_at;
