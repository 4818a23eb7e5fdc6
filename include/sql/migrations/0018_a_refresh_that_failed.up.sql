-- Why the last refresh of the reports failed, for people: no row when it did not. The next one that is published empties it.
CREATE TABLE ledger.failed_refresh (
    failed_at timestamptz NOT NULL,
    report    text,
    error     text NOT NULL
);
COMMENT ON COLUMN ledger.failed_refresh.report IS 'whose file or check failed; none: all of them could not be published';
