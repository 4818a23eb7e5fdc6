-- What `make status` and the launcher's live line show. All read only.

-- name: clock :: one row: the server's time, against which "since the start" is measured
SELECT clock_timestamp() AS now;

-- name: files_by_state :: a row a state: how many files, how many rows
SELECT
    state,
    count(*) AS files,
    count(waits_for) FILTER (WHERE state = 'landed') AS waiting,
    coalesce(sum(rows_read) FILTER (WHERE state = 'loaded'), 0)::bigint AS rows_read,
    coalesce(sum(rows_loaded), 0)::bigint AS rows_loaded,
    coalesce(sum(rows_rejected), 0)::bigint AS rows_rejected,
    coalesce(sum(rows_duplicate), 0)::bigint AS rows_duplicate
FROM ledger.files
GROUP BY state
ORDER BY state;

-- name: rate :: one row: rows loaded a second in the last minute
SELECT (coalesce(sum(rows_loaded), 0) / 60.0)::float8 AS rows_per_second
FROM ledger.files
-- now(), for its value is known when the query is planned: clock_timestamp() would read every file of the ledger.
WHERE state = 'loaded' AND loaded_at > now() - interval '1 minute';

-- name: latency :: one row: seconds from landed to queryable over the last %(minutes)s minutes
SELECT
    count(*) AS files,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY greatest(extract(epoch FROM loaded_at - coalesce(landed_again_at, landed_at)), 0))::float8 AS p50,
    percentile_cont(0.95) WITHIN GROUP (ORDER BY greatest(extract(epoch FROM loaded_at - coalesce(landed_again_at, landed_at)), 0))::float8 AS p95
FROM ledger.files
WHERE state = 'loaded' AND loaded_at > now() - make_interval(secs => 60 * %(minutes)s::float8);

-- name: latency_of_newest :: one row: the same over the newest files, at most %(most)s
SELECT
    count(*) AS files,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds)::float8 AS p50,
    percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds)::float8 AS p95
FROM (
    SELECT greatest(extract(epoch FROM loaded_at - coalesce(landed_again_at, landed_at)), 0) AS seconds
    FROM ledger.files
    WHERE state = 'loaded' AND loaded_at IS NOT NULL
    ORDER BY loaded_at DESC
    LIMIT %(most)s
) AS newest;

-- name: stream :: one row: the newest stream; no row when none was ever submitted
SELECT
    epoch,
    state,
    state_since,
    submitted_by,
    run_id,
    submitted_at,
    started_at,
    ended_at,
    ended_because,
    ended_how,
    host,
    pid,
    stop_requested,
    last_error,
    last_error_at,
    extract(epoch FROM lease_until - clock_timestamp())::float8 AS lease_seconds_left,
    ended_at IS NULL AND clock_timestamp() BETWEEN lease_from AND lease_until AS living
FROM ledger.streams
ORDER BY epoch DESC
LIMIT 1;

-- name: reports :: one row once reports are published: their moment, how many seconds that took, how many changes wait for the
-- next refresh (no more than 100,000 are counted), and how many units or rows the last comparison found that differ
SELECT
    as_of,
    seconds::float8 AS seconds,
    (SELECT count(*) FROM (SELECT FROM ledger.report_changes LIMIT 100000) AS waiting) AS changes_waiting,
    (
        SELECT differences
        FROM report_cells.comparisons
        ORDER BY compared_at DESC
        LIMIT 1
    ) AS differences
FROM report.last_refresh;

-- name: merge_waits :: a row a file whose later rows the last merge could not set aside: why
SELECT files.file_id, name, why
FROM (SELECT waiting FROM ledger.merges ORDER BY begun_at DESC LIMIT 1) AS last_merge
CROSS JOIN LATERAL jsonb_each_text(waiting) AS waits (file_id, why)
JOIN ledger.files ON files.file_id = waits.file_id::bigint
WHERE state = 'loaded' AND merged_at IS NULL
ORDER BY files.file_id;

-- name: expiry_waits :: a row a month that has expired and is there: how many changes of its rows no report has counted
SELECT month, waiting
FROM (
    SELECT month, begins, ends FROM ledger.months() WHERE ends <= ledger.expired_before() OFFSET 0
) AS expired
CROSS JOIN LATERAL (SELECT ledger.changes_waiting(begins, ends) AS waiting) AS counted
WHERE waiting > 0
ORDER BY begins;

-- name: unsealed :: one row: files loaded before the cutoff, seen by a merge, and not sealed (%(most)s are counted at most)
SELECT count(*) AS files, min(loaded_at) AS oldest
FROM (
    SELECT loaded_at
    FROM ledger.files
    WHERE state = 'loaded' AND sealed_at IS NULL AND merged_at IS NOT NULL AND loaded_at < %(cutoff)s
    ORDER BY loaded_at
    LIMIT %(most)s
) AS unsealed;

-- name: failed_refresh :: one row when the last refresh of the reports failed
-- The reader writes there: what it writes has an end, here.
SELECT failed_at, left(report, 100) AS report, left(error, 1000) AS error
FROM ledger.failed_refresh
ORDER BY failed_at DESC
LIMIT 1;

-- name: loaded_since :: one row when a file was loaded after %(since)s
SELECT file_id, name, rows_loaded
FROM ledger.files
WHERE state = 'loaded' AND loaded_at >= %(since)s
ORDER BY loaded_at
LIMIT 1;

-- name: proof :: one row once somebody has recounted: what the last recount found
SELECT begun_at, ended_at, days, files, rows, holds, problems
FROM ledger.recounts
ORDER BY recount_id DESC
LIMIT 1;

-- name: drift :: a row a contract whose newest loaded file has drifted: since when, and how
SELECT
    feeds.contract,
    newest.file_id,
    newest.name,
    newest.drift,
    CASE WHEN feeds.drift = newest.drift THEN feeds.since ELSE newest.loaded_at END AS since
FROM ledger.feeds
CROSS JOIN LATERAL (
    SELECT file_id, name, drift, loaded_at
    FROM ledger.files
    WHERE files.contract = feeds.contract AND state = 'loaded' AND filled IS NOT NULL
    ORDER BY file_id DESC
    LIMIT 1
) AS newest
WHERE newest.drift IS NOT NULL
ORDER BY feeds.contract;
