-- Room Now. Each answers quickly, however many files the ledger has: what has no end is capped.

-- name: rates :: one row: what was loaded in the last minute, by the second, and in the last %(seconds)s, in files
SELECT
    (coalesce(sum(rows_read) FILTER (WHERE loaded_at > now() - interval '1 minute'), 0) / 60.0)::float8 AS rows_in,
    (coalesce(sum(rows_loaded) FILTER (WHERE loaded_at > now() - interval '1 minute'), 0) / 60.0)::float8 AS rows_out,
    count(*) AS files
FROM ledger.files
WHERE state = 'loaded' AND loaded_at > now() - make_interval(secs => %(seconds)s);

-- name: arrivals :: one row: files registered in the last %(seconds)s, those of them that ended without rows
-- The numbers of files rise as they are registered: only the newest %(most)s are looked at. When these do not reach so far
-- back, covered says how many seconds they are of.
SELECT
    count(*) FILTER (WHERE is_late) AS files,
    count(*) FILTER (WHERE is_late AND state IN ('rejected', 'duplicate')) AS without_rows,
    CASE
        WHEN bool_and(is_late) AND max(file_id) > %(most)s THEN extract(epoch FROM now() - min(moved_at))::float8
    END AS covered
FROM (
    SELECT file_id, state, moved_at, moved_at > now() - make_interval(secs => %(seconds)s) AS is_late
    FROM ledger.files
    WHERE file_id > (SELECT max(file_id) - %(most)s FROM ledger.files)
) AS newest;

-- name: waiting :: one row: files and bytes that are registered and wait for the stream, no more than %(most)s counted
SELECT count(*) AS files, coalesce(sum(bytes), 0)::bigint AS bytes
FROM (
    SELECT bytes
    FROM ledger.files
    WHERE state = 'landed' AND waits_for IS NULL
    ORDER BY file_id
    LIMIT %(most)s
) AS counted;

-- name: oldest_waiting :: one row when files wait for the stream: the first of them, and for how long it has waited
SELECT
    file_id, name, extract(epoch FROM clock_timestamp() - coalesce(landed_again_at, landed_at))::float8 AS seconds
FROM ledger.files
WHERE state = 'landed' AND waits_for IS NULL
ORDER BY file_id
LIMIT 1;

-- name: held :: one row: how many files wait for a contract, no more than %(most)s counted
SELECT count(*) AS files
FROM (SELECT FROM ledger.files WHERE waits_for IS NOT NULL LIMIT %(most)s) AS counted;

-- name: batches :: the newest micro-batches, newest first
SELECT epoch, lane, batch, committed_at, files, rows_read, duration_ms, durations, backlog_files
FROM ledger.batches
ORDER BY committed_at DESC
LIMIT %(most)s;

-- name: outcomes :: the files that came to an end last, newest first
-- Of one without rows nothing says when that was; it was soon after it had been registered.
SELECT *
FROM (
    (
        SELECT file_id, name, state, loaded_at AS at, rows_loaded, rows_rejected
        FROM ledger.files
        WHERE state = 'loaded' AND loaded_at IS NOT NULL
        ORDER BY loaded_at DESC
        LIMIT %(most)s
    )
    UNION ALL
    (
        SELECT file_id, name, state, moved_at, 0, 0
        FROM ledger.files
        WHERE state IN ('rejected', 'duplicate')
        ORDER BY file_id DESC
        LIMIT %(most)s
    )
) AS both_kinds
ORDER BY at DESC, file_id DESC
LIMIT %(most)s;

-- name: lag :: one row: seconds from landed to queryable over the last %(hours)s hours, of the newest %(most)s files at most
SELECT files, percentiles[1] AS p50, percentiles[2] AS p95
FROM (
    SELECT count(*) AS files, percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY seconds) AS percentiles
    FROM (
        SELECT greatest(date_part('epoch', loaded_at - coalesce(landed_again_at, landed_at)), 0) AS seconds
        FROM ledger.files
        WHERE state = 'loaded' AND loaded_at > now() - make_interval(secs => 3600 * %(hours)s::float8)
        ORDER BY loaded_at DESC
        LIMIT %(most)s
    ) AS loaded
) AS counted;

-- name: share_of :: one row: which share of the files, in percent, are about %(most)s of them
SELECT least(100 * %(most)s / greatest(reltuples, 1), 100)::float8 AS percent
FROM pg_class
WHERE oid = 'ledger.files'::regclass;

-- name: lag_of_sample :: one row: as lag, of all the time, from pages of the table that chance chose
SELECT files, percentiles[1] AS p50, percentiles[2] AS p95
FROM (
    SELECT count(*) AS files, percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY seconds) AS percentiles
    FROM (
        SELECT greatest(date_part('epoch', loaded_at - coalesce(landed_again_at, landed_at)), 0) AS seconds
        FROM ledger.files TABLESAMPLE SYSTEM (%(percent)s)
        WHERE state = 'loaded' AND loaded_at > now() - make_interval(secs => 3600 * %(hours)s::float8)
    ) AS loaded
) AS counted;

-- name: today :: one row: the tally of the files that were loaded on the present day of zone %(zone)s, and when it began
SELECT
    day.begun_at,
    count(file_id) AS files,
    coalesce(sum(rows_loaded), 0)::bigint AS rows_loaded,
    coalesce(sum(rows_rejected), 0)::bigint AS rows_rejected,
    coalesce(sum(rows_duplicate), 0)::bigint AS rows_duplicate
FROM (SELECT date_trunc('day', now() AT TIME ZONE %(zone)s) AT TIME ZONE %(zone)s AS begun_at) AS day
LEFT JOIN ledger.files ON state = 'loaded' AND loaded_at >= day.begun_at
GROUP BY day.begun_at;

-- name: waiting_for_contract :: one row when files wait for a contract: how many, no more than %(most)s, and the first
SELECT count(*) OVER () AS files, file_id, name, error
FROM (
    SELECT file_id, name, error
    FROM ledger.files
    WHERE waits_for = 'contract' AND state = 'landed'
    LIMIT %(most)s
) AS counted
ORDER BY file_id
LIMIT 1;
