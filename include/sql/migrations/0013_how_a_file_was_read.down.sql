ALTER TABLE ledger.files DROP COLUMN read_as;
