-- The recount: what the tables hold, file by file, against what the ledger says. Read in one snapshot.

-- name: files_to_verify :: every file that has left the landed state, oldest first
SELECT
    file_id, name, path, sha256, bytes, contract, state, sealed_at IS NOT NULL AS is_sealed,
    rows_read, rows_loaded, rows_rejected, rows_duplicate
FROM ledger.files
WHERE state <> 'landed'
ORDER BY file_id;

-- name: rows_by_file :: rows of each table and the sum of their record numbers, by file
WITH accounted AS (
    SELECT file_id, record_number, 1 AS in_events, 0 AS in_rejects, 0 AS in_duplicates
    FROM public.events
    UNION ALL
    SELECT file_id, record_number, 0, 1, 0
    FROM ledger.rejects
    WHERE state = 'quarantined'
    UNION ALL
    SELECT file_id, record_number, 0, 0, 1
    FROM ledger.duplicates
)
SELECT
    file_id,
    sum(in_events)::bigint AS loaded,
    sum(in_rejects)::bigint AS rejected,
    sum(in_duplicates)::bigint AS duplicate,
    sum(record_number)::numeric AS record_numbers,
    min(record_number) AS first,
    max(record_number) AS last
FROM accounted
GROUP BY file_id;

-- name: landed_count :: files that wait
SELECT count(*) AS files
FROM ledger.files
WHERE state = 'landed';
