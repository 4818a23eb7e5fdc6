-- When the rows of a file landed, where that is not the file's own landed_at: the file has them from a file of the same
-- bytes, or a restore has landed these bytes again. landed_at() of a contract gives the same moment as before.
ALTER TABLE ledger.files ADD COLUMN rows_landed_at timestamptz;

-- Bytes that a restore lands again, and when they had landed; a line goes when they do.
CREATE TABLE ledger.arrivals (
    sha256    text PRIMARY KEY,
    landed_at timestamptz NOT NULL
);
