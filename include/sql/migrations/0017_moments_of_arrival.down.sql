DROP TABLE ledger.arrivals;
ALTER TABLE ledger.files DROP COLUMN rows_landed_at;
