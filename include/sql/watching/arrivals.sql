-- A file on its way, for whoever has landed it.

-- name: last :: one row: the greatest number of a file so far, 0 without any
SELECT coalesce(max(file_id), 0) AS file_id FROM ledger.files;

-- name: newest :: one row once it is registered: the newest of these bytes and this name, of those after %(after)s
SELECT
    file_id,
    CASE WHEN state = 'landed' AND waits_for IS NOT NULL THEN 'waiting' ELSE state END AS state,
    rows_read,
    rows_loaded,
    rows_rejected,
    rows_duplicate,
    duplicate_of,
    error
FROM ledger.files
WHERE name = %(name)s AND sha256 = %(sha256)s AND file_id > %(after)s
ORDER BY file_id DESC
LIMIT 1;
