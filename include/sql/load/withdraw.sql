-- Taking one loaded file's rows back, within the caller's transaction: for an unload and for a revision that replaces.
-- Parameters are numbered, as the loader's driver wants them.

-- A load that has noted a duplicate of a file's row counts on that file. So it holds the file's lock, shared, until it
-- commits (hold_originals in load.sql), and who takes a file back holds it alone: were the row gone by then, no file
-- would have it. Loads that have no row of the file do not wait, nor do readers. The locks are 512, so that a load that
-- repeats the rows of many files never asks for more. 7215 says that they are Sluice's.

-- name: hold_file :: until this transaction ends
SELECT 1 FROM (SELECT pg_advisory_xact_lock(7215, ($1::bigint % 512)::integer)) AS held;

-- name: hold_file_in_session :: until let_go_of_file, or the session's end: the snapshot of an unload comes after it
SELECT 1 FROM (SELECT pg_advisory_lock(7215, ($1::bigint % 512)::integer)) AS held;

-- name: is_held :: one row when this session holds the file's lock
SELECT 1
FROM pg_locks
WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND granted AND mode = 'ExclusiveLock'
    AND classid = 7215 AND objsubid = 2 AND objid::bigint = $1::bigint % 512;

-- name: let_go_of_file :: nothing of use
SELECT pg_advisory_unlock(7215, ($1::bigint % 512)::integer);

-- name: holders :: the sessions that stand in the way: a row each, the longest at it first
SELECT DISTINCT
    held.pid,
    coalesce(nullif(activity.application_name, ''), 'unnamed') AS name,
    coalesce(activity.state, 'of another role') AS state,
    coalesce(extract(epoch FROM clock_timestamp() - activity.xact_start), 0)::bigint AS seconds
FROM pg_locks AS held
LEFT JOIN pg_stat_activity AS activity USING (pid)
WHERE held.granted AND held.pid <> pg_backend_pid() AND (
    (
        held.locktype = 'advisory' AND held.classid = 7215 AND held.objsubid = 2 AND held.objid::bigint = $1::bigint % 512
        AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    )
    OR (
        held.locktype = 'relation' AND held.relation = 'ledger.files'::regclass
        AND held.mode IN ('RowShareLock', 'RowExclusiveLock')
        AND activity.xact_start < clock_timestamp() - interval '0.5 s'
    )
)
ORDER BY seconds DESC;

-- name: lock_name :: loads of one name under one contract follow one another
SELECT 1 FROM (SELECT pg_advisory_xact_lock(hashtextextended($1::text || '/' || $2::text, 0))) AS locked;

-- name: find_same_name :: the loaded files of this name and contract, but this one
SELECT file_id
FROM ledger.files
WHERE name = $1 AND contract = $2 AND state = 'loaded' AND file_id <> $3
ORDER BY file_id;

-- name: lock_file :: one row, with the moments of the months in which the file's rows lie
SELECT
    name,
    state,
    ledger.since(first_event_time)::text AS since,
    ledger.until(last_event_time)::text AS until,
    rows_expired
FROM ledger.files
WHERE file_id = $1
FOR UPDATE;

-- name: make_withdrawn :: nothing; a table for the rows that leave events
CREATE TEMPORARY TABLE IF NOT EXISTS withdrawn_events (LIKE public.events) ON COMMIT DELETE ROWS;

-- name: make_given :: nothing; a table for those of them that other files have from now on
CREATE TEMPORARY TABLE IF NOT EXISTS given_events (LIKE public.events) ON COMMIT DELETE ROWS;

-- name: take_out :: how many rows the file had in events, between the moments $2 and $3
WITH gone AS (
    DELETE FROM public.events
    WHERE file_id = $1 AND event_time >= $2::timestamptz AND event_time <= $3::timestamptz
    RETURNING *
), kept AS (
    INSERT INTO withdrawn_events
    SELECT * FROM gone
)
SELECT count(*) FROM gone;

-- name: hold_heirs :: the files that have some of the rows as well stay as they are until this transaction ends
SELECT file_id
FROM ledger.files
WHERE file_id IN (
    SELECT duplicate.file_id
    FROM withdrawn_events AS withdrawn
    JOIN ledger.duplicates AS duplicate USING (event_id, event_time)
    WHERE withdrawn.file_id = $1 AND duplicate.file_id <> $1
)
ORDER BY file_id
FOR NO KEY UPDATE;

-- name: give_back :: file_id and rows of each file that now has rows which the withdrawn file had
-- A duplicate's content was equal to the row's when it was noted, and the row has not changed since: so the row comes
-- back as it is, under the number of the file that had it as well. The file that came first takes it.
WITH heirs AS (
    SELECT DISTINCT ON (event_id, event_time) duplicate.file_id, duplicate.record_number, event_id, event_time
    FROM withdrawn_events AS withdrawn
    JOIN ledger.duplicates AS duplicate USING (event_id, event_time)
    WHERE withdrawn.file_id = $1 AND duplicate.file_id <> $1
    ORDER BY event_id, event_time, duplicate.file_id, duplicate.record_number
), given AS (
    INSERT INTO public.events
    SELECT given.*
    FROM heirs
    JOIN withdrawn_events AS withdrawn USING (event_id, event_time)
    CROSS JOIN LATERAL jsonb_populate_record(
        withdrawn, jsonb_build_object('file_id', heirs.file_id, 'record_number', heirs.record_number)
    ) AS given
    WHERE withdrawn.file_id = $1
    ORDER BY heirs.event_id
    RETURNING *
), kept AS (
    INSERT INTO given_events
    SELECT * FROM given
), no_duplicates_any_more AS (
    DELETE FROM ledger.duplicates AS duplicate
    USING heirs
    WHERE duplicate.file_id = heirs.file_id AND duplicate.record_number = heirs.record_number
), replays AS (
    UPDATE ledger.rejects AS reject
    SET state = 'replayed'
    FROM heirs
    WHERE reject.file_id = heirs.file_id
        AND reject.record_number = heirs.record_number
        AND reject.state = 'duplicate'
), counted AS (
    SELECT file_id, count(*) AS rows_given, min(event_time) AS first, max(event_time) AS last FROM heirs GROUP BY file_id
), tallies AS (
    UPDATE ledger.files
    SET rows_loaded = rows_loaded + rows_given,
        rows_duplicate = rows_duplicate - rows_given,
        -- Where the moments are not known, one row says nothing of the others.
        first_event_time = CASE WHEN first_event_time IS NOT NULL THEN least(first_event_time, first) END,
        last_event_time = CASE WHEN last_event_time IS NOT NULL THEN greatest(last_event_time, last) END,
        merged_at = NULL
    FROM counted
    WHERE files.file_id = counted.file_id
)
SELECT file_id, rows_given FROM counted ORDER BY file_id;

-- name: end_file :: from here on others may have its bytes: the_same_bytes_load_once
UPDATE ledger.files
SET state = $2
WHERE file_id = $1;

-- name: days_changed :: by feed: how many days the reports are to count anew because of what this transaction took out
SELECT feed, count(*), min(day)::text, max(day)::text
FROM ledger.report_changes
WHERE xmin = pg_current_xact_id()::xid AND feed IS NOT NULL
GROUP BY feed
ORDER BY feed;

-- name: replace_duplicates :: file_id of each older file ($1: before it) of this name and contract whose rows are another's
UPDATE ledger.files AS duplicate
SET state = 'replaced', contract = $3
FROM ledger.files AS original
WHERE duplicate.name = $2
    AND duplicate.state = 'duplicate'
    AND duplicate.file_id < $1
    AND original.sha256 = duplicate.sha256
    AND original.state = 'loaded'
    AND original.contract = $3
RETURNING duplicate.file_id;

-- name: close_file :: how many rejects were withdrawn and duplicates forgotten
WITH forgotten AS (
    DELETE FROM ledger.duplicates
    WHERE file_id = $1
    RETURNING 1
), withdrawn AS (
    UPDATE ledger.rejects
    SET state = 'withdrawn'
    WHERE file_id = $1 AND state <> 'withdrawn'
    RETURNING 1
), closed AS (
    UPDATE ledger.files
    SET rows_loaded = 0,
        rows_rejected = 0,
        rows_duplicate = 0,
        rows_expired = 0,
        expired_records = 0
    WHERE file_id = $1
)
SELECT (SELECT count(*) FROM withdrawn) AS rejects, (SELECT count(*) FROM forgotten) AS duplicates;

-- name: note :: nothing; an entry of the audit
INSERT INTO ledger.audit (action, file_id, reason, by_whom, details)
VALUES ($1, $2, $3, $4, $5::text::jsonb);
