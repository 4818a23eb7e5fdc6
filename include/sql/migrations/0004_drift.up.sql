-- Whether a file looks as its contract and its feed's earlier files say.

-- drift: what is not as one would expect (NULL: nothing). filled: how many rows had a value when the file was loaded, by
-- column of events, of how many "rows"; nobody knows it of files that were loaded before this migration.
ALTER TABLE ledger.files
    ADD COLUMN drift jsonb,
    ADD COLUMN filled jsonb;

-- Finds a feed's last files whatever lies behind them.
CREATE INDEX files_by_contract ON ledger.files (contract, file_id) WHERE state = 'loaded' AND filled IS NOT NULL;

-- The drift that was said last. Written only when it changes, so that files of one feed do not wait for each other.
CREATE TABLE ledger.feeds (
    contract   text PRIMARY KEY,
    drift      jsonb,
    since      timestamptz NOT NULL DEFAULT clock_timestamp(),
    since_file bigint NOT NULL REFERENCES ledger.files (file_id)
);
