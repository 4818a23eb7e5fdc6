-- How the page asks.

-- name: read_only :: nothing
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY;

-- name: bound :: nothing of use; each statement of the transaction ends after %(milliseconds)s
SELECT set_config('statement_timeout', %(milliseconds)s, true);
