-- The recount: what the tables hold, file by file, against what the ledger says. Read in one snapshot.

-- name: files_to_verify :: every file that has left the landed state, oldest first
SELECT
    file_id, name, path, sha256, bytes, contract, state, sealed_at IS NOT NULL AS is_sealed,
    rows_read, rows_loaded, rows_rejected, rows_duplicate, receipt
FROM ledger.files
WHERE state <> 'landed'
ORDER BY file_id;

-- name: rows_by_file :: rows of each table, the sum of their record numbers, and the digest of events, by file
WITH accounted AS (
    SELECT
        file_id, record_number, 1 AS in_events, 0 AS in_rejects, 0 AS in_duplicates,
        ledger.row_digest(events) AS digest
    FROM public.events
    UNION ALL
    SELECT file_id, record_number, 0, 1, 0, NULL
    FROM ledger.rejects
    WHERE state = 'quarantined'
    UNION ALL
    SELECT file_id, record_number, 0, 0, 1, NULL
    FROM ledger.duplicates
)
SELECT
    file_id,
    sum(in_events)::bigint AS loaded,
    sum(in_rejects)::bigint AS rejected,
    sum(in_duplicates)::bigint AS duplicate,
    sum(record_number)::numeric AS record_numbers,
    min(record_number) AS first,
    max(record_number) AS last,
    ledger.receipt_of(bit_xor(digest)) AS digest
FROM accounted
GROUP BY file_id;

-- name: landed_count :: files that wait
SELECT count(*) AS files
FROM ledger.files
WHERE state = 'landed';
