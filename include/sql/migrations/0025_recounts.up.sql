-- What the page shows of the proof, of the stream's run, and of the last files that came to an end.

CREATE TABLE ledger.recounts (
    recount_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    begun_at   timestamptz NOT NULL,
    ended_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    days       double precision,
    files      bigint NOT NULL,
    rows       bigint NOT NULL,
    holds      boolean NOT NULL,
    problems   bigint NOT NULL,
    CONSTRAINT a_recount_holds_without_problems CHECK (holds = (problems = 0))
);
COMMENT ON TABLE ledger.recounts IS 'One row a `make reconcile` that came to its end, whatever it found; the newest are kept';
COMMENT ON COLUMN ledger.recounts.days IS 'Only files that were loaded or changed in the last so many days; none: all of them';

ALTER TABLE ledger.streams ADD COLUMN run_id text;
COMMENT ON COLUMN ledger.streams.run_id IS 'The run of ingest_events that submitted it; none: it was no run, or one of an earlier release';

-- The newest files that ended without rows, among however many that wait.
CREATE INDEX files_without_rows ON ledger.files (file_id) WHERE state IN ('rejected', 'duplicate');
