-- How the page asks.

-- name: read_only :: nothing
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY;

-- name: bound :: nothing of use; each statement of the transaction ends after %(milliseconds)s
SELECT set_config('statement_timeout', %(milliseconds)s, true);

-- name: by_index :: nothing of use; until the transaction ends, no table is read whole where an index serves
-- PostgreSQL does not know that a reader stops early, and believes of a limit that it is soon reached.
SELECT set_config('enable_seqscan', 'off', true);
