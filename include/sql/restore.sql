-- Restoring a backup: it is read into a database of its own, sluice_restoring, and becomes the pipeline's in one step.
-- What it replaces stays as sluice_replaced until keep_house drops it (sluice/loading/replaced.py), or the next restore.

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

-- name: note_replaced_statement :: one text: the statement that writes beside the replaced database since when it is that
SELECT format(
    'COMMENT ON DATABASE sluice_replaced IS %%L',
    to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
) AS statement;

-- name: keep_schema_public :: in the replaced database: nothing; whoever owns the database may not change what is in it
ALTER SCHEMA public OWNER TO sluice_owner;

-- name: hand_over_replaced :: nothing; housekeeping, which is the writer, may drop it
ALTER DATABASE sluice_replaced OWNER TO sluice_writer;

-- name: let_owner_connect :: nothing; it was the owner's
GRANT CONNECT ON DATABASE sluice_replaced TO sluice_owner;

-- name: replaced :: one row when a restore has left a database: since when (null: an earlier release did), is it ours to drop
SELECT
    CASE WHEN noted ~ '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$' THEN noted::timestamptz END AS since,
    pg_has_role(owner, 'USAGE') AS is_ours
FROM (
    SELECT shobj_description(oid, 'pg_database') AS noted, datdba AS owner
    FROM pg_database
    WHERE datname = 'sluice_replaced'
) AS replaced;

-- name: drop_replaced_unless_used :: outside of a transaction; fails while somebody looks at it
DROP DATABASE IF EXISTS sluice_replaced;

-- name: drop_drill :: outside of a transaction
DROP DATABASE IF EXISTS sluice_drill WITH (FORCE);

-- name: begin_drill :: one row: whether no other drill runs, until this session ends
SELECT pg_try_advisory_lock(7215482317) AS is_alone;

-- name: database_bytes :: one row: how large the pipeline's database is
SELECT pg_database_size('sluice') AS bytes;

-- name: places :: in the living database: where the files after this one are by now, by file_id
SELECT file_id, sha256, path, sealed_at
FROM ledger.files
WHERE file_id > %(after)s
ORDER BY file_id
LIMIT %(most)s;

-- name: take_places :: in the drill's database: nothing; its files are looked for where they are by now
UPDATE ledger.files
SET path = place.path, sealed_at = coalesce(files.sealed_at, place.sealed_at)
FROM unnest(%(file_ids)s::bigint[], %(hashes)s::text[], %(paths)s::text[], %(seals)s::timestamptz[])
    AS place (file_id, sha256, path, sealed_at)
WHERE files.file_id = place.file_id AND files.sha256 = place.sha256 AND files.state IN ('loaded', 'duplicate');

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
