-- name: lock_archive :: waits until no other housekeeping looks after the archive
SELECT pg_advisory_lock(7215482307);

-- name: unlock_archive :: nothing
SELECT pg_advisory_unlock(7215482307);

-- name: cutoff :: one row, the moment that lies so many seconds back
SELECT coalesce(%(now)s::timestamptz, now()) - make_interval(secs => %(seconds)s) AS cutoff;

-- name: files_to_seal :: loaded files older than the cutoff, the oldest first, and what is wrong with their rows
-- Only files that a merge has seen: a row of another may yet turn out to be a conflict, whose bytes are kept.
-- The cutoff comes last: with it, PostgreSQL would read all files of these days, also those that were sealed long ago.
WITH oldest AS (
    SELECT file_id, name, path, sha256, bytes, loaded_at, receipt IS NULL AS is_pending
    FROM ledger.files
    WHERE state = 'loaded'
        AND sealed_at IS NULL
        AND merged_at IS NOT NULL
        AND (loaded_at, file_id) > (%(after_loaded_at)s, %(after_file_id)s)
    ORDER BY loaded_at, file_id
    LIMIT %(most)s
), due AS (
    SELECT * FROM oldest WHERE loaded_at < %(cutoff)s
)
SELECT due.*, ledger.verify(file_id) -> 'problems' AS problems
FROM due
ORDER BY loaded_at, file_id;

-- name: duplicates_to_seal :: those of these files that are duplicates moved before the cutoff, and what they repeat
SELECT
    files.file_id,
    files.name,
    files.path,
    files.sha256,
    files.bytes,
    original.state = 'loaded' AND original.sha256 = files.sha256 AS original_is_loaded,
    false AS is_pending,
    NULL::jsonb AS problems
FROM ledger.files
LEFT JOIN ledger.files AS original ON original.file_id = files.duplicate_of
WHERE files.file_id = ANY(%(file_ids)s)
    AND files.state = 'duplicate'
    AND files.sealed_at IS NULL
    AND files.moved_at < %(cutoff)s
ORDER BY files.file_id;

-- name: seal :: one row when the file is still what was verified
UPDATE ledger.files
SET sealed_at = coalesce(%(now)s::timestamptz, now())
WHERE file_id = %(file_id)s
    AND path = %(path)s
    AND sealed_at IS NULL
    AND (
        state = 'loaded'
        OR state = 'duplicate'
        AND EXISTS (SELECT FROM ledger.files AS original WHERE original.file_id = files.duplicate_of AND original.state = 'loaded')
    )
RETURNING file_id;

-- name: sealed_paths :: where those of these files that are sealed lay
SELECT path FROM ledger.files WHERE file_id = ANY(%(file_ids)s) AND sealed_at IS NOT NULL;

-- name: trim_batches :: nothing; batches from before the cutoff are gone
DELETE FROM ledger.batches WHERE committed_at < %(cutoff)s;

-- name: trim_recounts :: nothing; the newest %(most)s recounts are left
DELETE FROM ledger.recounts WHERE recount_id <= (SELECT max(recount_id) - %(most)s FROM ledger.recounts);

-- name: oldest_active_runs :: in Airflow's metadata: the dags that have an active run from before the cutoff
SELECT dag_id, min(start_date) AS started_at
FROM dag_run
WHERE state IN ('queued', 'running') AND start_date < %(cutoff)s
GROUP BY dag_id
ORDER BY dag_id;

-- name: archive_tables :: in Airflow's metadata: what a cleaning that was killed, or told to, has left
SELECT tablename FROM pg_tables WHERE tablename LIKE '\_airflow\_deleted\_\_%%' ORDER BY tablename;
