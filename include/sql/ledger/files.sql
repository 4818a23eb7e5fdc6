-- The mover's queries on ledger.files, and what waits for the files that it moved.

-- name: lock_mover :: waits (lock_timeout applies) for the session lock that keeps two movers apart
SELECT pg_advisory_lock(%(key)s);

-- name: unlock_mover :: nothing
SELECT pg_advisory_unlock(%(key)s);

-- name: insert_landed :: the new file_id, or nothing when the same bytes are landed or loaded already
-- A file whose name waits in a lane joins it: revisions of one file come in their order.
-- Bytes that a restore lands again keep the moment that their rows had.
WITH kept AS (
    DELETE FROM ledger.arrivals WHERE sha256 = %(sha256)s RETURNING landed_at
)
INSERT INTO ledger.files (name, path, sha256, bytes, landed_at, rows_landed_at, lane)
VALUES (
    %(name)s, '', %(sha256)s, %(bytes)s, %(landed_at)s, (SELECT landed_at FROM kept),
    coalesce((SELECT lane FROM ledger.files WHERE name = %(name)s AND state = 'landed' LIMIT 1), %(lane)s)
)
ON CONFLICT (sha256) WHERE state IN ('landed', 'loaded') DO NOTHING
RETURNING file_id;

-- name: find_same_bytes :: the file that has them, landed or loaded; it cannot end until this transaction does
SELECT file_id, state, path
FROM ledger.files
WHERE sha256 = %(sha256)s AND state IN ('landed', 'loaded')
FOR KEY SHARE;

-- name: touch_loaded :: one row, unless the file is not loaded any more
-- An unload may look at a snapshot from before it got the row: a change makes it begin anew, a mere lock would not.
UPDATE ledger.files
SET path = path
WHERE file_id = %(file_id)s AND state = 'loaded'
RETURNING file_id;

-- name: adopt_duplicates :: duplicates of these bytes whose original had ended without an heir
UPDATE ledger.files
SET duplicate_of = %(file_id)s
WHERE sha256 = %(sha256)s AND state = 'duplicate';

-- name: bind_insistence :: a wish to load these bytes under this name all the same is this file's now
WITH bound AS (
    UPDATE ledger.insistences
    SET file_id = %(file_id)s
    WHERE sha256 = %(sha256)s
        AND name = %(name)s
        AND file_id IS NULL
        AND NOT EXISTS (SELECT FROM ledger.insistences WHERE file_id = %(file_id)s)
    RETURNING file_id, reason, by_whom, name, sha256, at
)
INSERT INTO ledger.audit (action, file_id, reason, by_whom, details)
SELECT 'insist', file_id, reason, by_whom, jsonb_build_object('name', name, 'sha256', sha256, 'asked_at', at)
FROM bound;

-- name: insert_duplicate :: the new file_id and the day (UTC) of its archive folder
INSERT INTO ledger.files (name, path, sha256, bytes, landed_at, state, duplicate_of, lane)
VALUES (%(name)s, '', %(sha256)s, %(bytes)s, %(landed_at)s, 'duplicate', %(duplicate_of)s, %(lane)s)
RETURNING file_id, to_char(moved_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS day;

-- name: set_path :: nothing; where the file lies from now on
UPDATE ledger.files
SET path = %(path)s
WHERE file_id = %(file_id)s;

-- name: lock_landed :: the file_id, unless it is being loaded or no longer landed
SELECT file_id
FROM ledger.files
WHERE file_id = %(file_id)s AND state = 'landed'
FOR UPDATE SKIP LOCKED;

-- name: find_known :: what the ledger knows of these file_ids
SELECT file_id, name, sha256, state, path
FROM ledger.files
WHERE file_id = ANY(%(file_ids)s);

-- name: find_waiting_range :: the lowest and the highest file_id that waits, both NULL when none does
SELECT min(file_id) AS first, max(file_id) AS last
FROM ledger.files
WHERE state = 'landed' AND waits_for IS NULL;

-- name: find_still_landed :: the files between two file_ids that still wait, oldest first
SELECT file_id, name
FROM ledger.files
WHERE state = 'landed' AND waits_for IS NULL AND file_id BETWEEN %(first)s AND %(last)s
ORDER BY file_id;
