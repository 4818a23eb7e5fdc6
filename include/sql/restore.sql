-- Restoring a backup: it is read into a database of its own, sluice_restoring, and becomes the pipeline's in one step.
-- What it replaces stays as sluice_replaced until the next restore.

-- name: drop_side :: outside of a transaction
DROP DATABASE IF EXISTS sluice_restoring WITH (FORCE);

-- name: drop_replaced :: outside of a transaction
DROP DATABASE IF EXISTS sluice_replaced WITH (FORCE);

-- name: is_restored :: in the side database: whether the backup held a ledger
SELECT to_regclass('ledger.files') IS NOT NULL AS is_restored;

-- name: exists :: whether the server has the database
SELECT EXISTS (SELECT FROM pg_database WHERE datname = %(database)s) AS is_there;

-- name: marks :: in the database that is replaced: the last numbers that it gave
SELECT
    coalesce(pg_sequence_last_value(pg_get_serial_sequence('ledger.streams', 'epoch')::regclass), 0) AS epoch,
    coalesce(pg_sequence_last_value(pg_get_serial_sequence('ledger.files', 'file_id')::regclass), 0) AS file_id;

-- name: go_on_after :: numbers are never given twice: a stream or a file name from before the restore stays unknown
WITH sequences AS (
    SELECT
        pg_get_serial_sequence('ledger.streams', 'epoch')::regclass AS epochs,
        pg_get_serial_sequence('ledger.files', 'file_id')::regclass AS file_ids
)
SELECT
    setval(epochs, greatest(%(epoch)s, pg_sequence_last_value(epochs), 1)) AS epoch,
    setval(file_ids, greatest(%(file_id)s, pg_sequence_last_value(file_ids), 1)) AS file_id
FROM sequences;

-- name: end_streams :: streams of the backup's time are over
UPDATE ledger.streams
SET state = 'ended', state_since = clock_timestamp(), ended_at = clock_timestamp(),
    ended_how = 'restored', ended_because = 'the database was restored'
WHERE ended_at IS NULL;

-- name: forbid_connections :: nothing; nobody new connects to the database that is replaced
ALTER DATABASE sluice WITH ALLOW_CONNECTIONS false;

-- name: end_sessions :: a row a session that was told to end
SELECT pg_terminate_backend(pid)
FROM pg_stat_activity
WHERE datname IN ('sluice', 'sluice_restoring') AND pid <> pg_backend_pid();

-- name: set_aside :: nothing; the database is sluice_replaced now
ALTER DATABASE sluice RENAME TO sluice_replaced;

-- name: put_in_place :: nothing; the restored one is the pipeline's now
ALTER DATABASE sluice_restoring RENAME TO sluice;

-- name: allow_connections :: nothing; the replaced one can be read
ALTER DATABASE sluice_replaced WITH ALLOW_CONNECTIONS true;

-- name: waiting :: every file that the ledger expects in processing
SELECT file_id, name, path
FROM ledger.files
WHERE state = 'landed'
ORDER BY file_id;

-- name: arrival :: in the database that was replaced: when the rows of a file landed, if it was to have rows
-- As JSON, since an older database may lack the column.
SELECT sha256, coalesce((to_jsonb(files) ->> 'rows_landed_at')::timestamptz, landed_at) AS landed_at
FROM ledger.files
WHERE file_id = %(file_id)s AND state IN ('landed', 'loaded');

-- name: keep_arrival :: nothing; the bytes land again with the moment that they had
INSERT INTO ledger.arrivals (sha256, landed_at)
VALUES (%(sha256)s, %(landed_at)s)
ON CONFLICT (sha256) DO NOTHING;

-- name: sealed_since :: in the database that was replaced: tallies that were verified before their files were deleted
SELECT file_id, sha256, sealed_at
FROM ledger.files
WHERE sealed_at IS NOT NULL;

-- name: keep_seal :: nothing; the tally stays verified
UPDATE ledger.files
SET sealed_at = %(sealed_at)s
WHERE file_id = %(file_id)s AND sha256 = %(sha256)s AND sealed_at IS NULL AND state IN ('loaded', 'duplicate');
