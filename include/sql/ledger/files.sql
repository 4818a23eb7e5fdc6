-- The mover's queries on ledger.files, and what waits for the files that it moved.

-- name: lock_mover :: waits (lock_timeout applies) for the session lock that keeps two movers apart
SELECT pg_advisory_lock(%(key)s);

-- name: unlock_mover :: nothing
SELECT pg_advisory_unlock(%(key)s);

-- name: set_up_move :: nothing; until the transaction ends, waits are bounded, and each plan is made anew
-- A plan that was made while the ledger was small reads all of it, and would go on doing so.
SELECT
    set_config('lock_timeout', %(lock_timeout)s, true),
    set_config('plan_cache_mode', 'force_custom_plan', true);

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

-- name: insert_many_landed :: as insert_landed, a row a file: the file_ids of bytes that are new, in the files' order
-- Of the same bytes the first is landed.
WITH kept AS (
    DELETE FROM ledger.arrivals WHERE sha256 = ANY(%(sha256s)s) RETURNING sha256, landed_at
)
INSERT INTO ledger.files (name, path, sha256, bytes, landed_at, rows_landed_at, lane)
SELECT
    new.name, '', new.sha256, new.bytes, new.landed_at,
    (SELECT kept.landed_at FROM kept WHERE kept.sha256 = new.sha256),
    coalesce((SELECT lane FROM ledger.files WHERE name = new.name AND state = 'landed' LIMIT 1), new.lane)
FROM unnest(
    %(names)s::text[], %(sha256s)s::text[], %(sizes)s::bigint[], %(landed_ats)s::timestamptz[], %(lanes)s::text[]
) WITH ORDINALITY AS new (name, sha256, bytes, landed_at, lane, place)
ORDER BY new.place
ON CONFLICT (sha256) WHERE state IN ('landed', 'loaded') DO NOTHING
RETURNING file_id, sha256;

-- name: find_duplicates :: the duplicates of these bytes
SELECT duplicate.file_id, new.sha256
FROM unnest(%(sha256s)s::text[]) AS new (sha256)
CROSS JOIN LATERAL (
    SELECT file_id FROM ledger.files WHERE sha256 = new.sha256 AND state = 'duplicate' OFFSET 0
) AS duplicate;

-- name: set_originals :: nothing; these files, as far as they are duplicates still, are those of other originals
UPDATE ledger.files
SET duplicate_of = new.original
FROM unnest(%(file_ids)s::bigint[], %(originals)s::bigint[]) AS new (file_id, original)
WHERE files.file_id = new.file_id AND state = 'duplicate';

-- name: find_many_same_bytes :: as find_same_bytes, a row for each of these bytes; none that somebody ends just now
SELECT same.file_id, same.state, same.path, new.sha256
FROM unnest(%(sha256s)s::text[]) AS new (sha256)
CROSS JOIN LATERAL (
    SELECT file_id, state, path
    FROM ledger.files
    WHERE sha256 = new.sha256 AND state IN ('landed', 'loaded')
    FOR KEY SHARE SKIP LOCKED
) AS same;

-- name: touch_many_loaded :: as touch_loaded: those of these files that are loaded still
UPDATE ledger.files
SET path = path
WHERE file_id = ANY(%(file_ids)s::bigint[]) AND state = 'loaded'
RETURNING file_id;

-- name: insert_many_duplicates :: as insert_duplicate, a row a file, with its name
INSERT INTO ledger.files (name, path, sha256, bytes, landed_at, state, duplicate_of, lane)
SELECT new.name, '', new.sha256, new.bytes, new.landed_at, 'duplicate', new.original, new.lane
FROM unnest(
    %(names)s::text[], %(sha256s)s::text[], %(sizes)s::bigint[], %(landed_ats)s::timestamptz[], %(lanes)s::text[],
    %(originals)s::bigint[]
) WITH ORDINALITY AS new (name, sha256, bytes, landed_at, lane, original, place)
ORDER BY new.place
RETURNING file_id, name, to_char(moved_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS day;

-- name: set_paths :: nothing; where these files lie from now on
UPDATE ledger.files
SET path = new.path
FROM unnest(%(file_ids)s::bigint[], %(paths)s::text[]) AS new (file_id, path)
WHERE files.file_id = new.file_id;

-- name: bind_insistences :: as bind_insistence, for many files
WITH bound AS (
    UPDATE ledger.insistences
    SET file_id = new.file_id
    FROM unnest(%(file_ids)s::bigint[], %(names)s::text[], %(sha256s)s::text[]) AS new (file_id, name, sha256)
    WHERE insistences.sha256 = new.sha256
        AND insistences.name = new.name
        AND insistences.file_id IS NULL
        AND NOT EXISTS (SELECT FROM ledger.insistences AS other WHERE other.file_id = new.file_id)
    RETURNING insistences.file_id, reason, by_whom, insistences.name, insistences.sha256, at
)
INSERT INTO ledger.audit (action, file_id, reason, by_whom, details)
SELECT 'insist', file_id, reason, by_whom, jsonb_build_object('name', name, 'sha256', sha256, 'asked_at', at)
FROM bound;

-- name: lock_landed :: the file_id, unless it is being loaded or no longer landed
SELECT file_id
FROM ledger.files
WHERE file_id = %(file_id)s AND state = 'landed'
FOR UPDATE SKIP LOCKED;

-- name: find_known :: what the ledger knows of these file_ids
SELECT file_id, name, sha256, state, path
FROM ledger.files
WHERE file_id = ANY(%(file_ids)s);

-- name: find_waiting_marks :: one row: of those of these file_ids that are landed, the id and first digits of the hash
-- OFFSET 0: each id is looked up. A join would read the whole ledger for every thousand of them.
SELECT string_agg(landed.file_id || '-' || left(landed.sha256, %(digits)s), ' ') AS marks
FROM unnest(string_to_array(%(file_ids)s, ' ')::bigint[]) AS asked (file_id)
CROSS JOIN LATERAL (
    SELECT file_id, sha256 FROM ledger.files WHERE file_id = asked.file_id AND state = 'landed' OFFSET 0
) AS landed;

-- name: find_waiting_range :: the lowest and the highest file_id that waits, both NULL when none does
SELECT min(file_id) AS first, max(file_id) AS last
FROM ledger.files
WHERE state = 'landed' AND waits_for IS NULL;

-- name: count_still_landed :: one row: how many files between two file_ids still wait
SELECT count(*) AS files
FROM ledger.files
WHERE state = 'landed' AND waits_for IS NULL AND file_id BETWEEN %(first)s AND %(last)s;

-- name: find_still_landed :: the oldest :most files between two file_ids that still wait
SELECT file_id, name
FROM ledger.files
WHERE state = 'landed' AND waits_for IS NULL AND file_id BETWEEN %(first)s AND %(last)s
ORDER BY file_id
LIMIT %(most)s;
