-- `make load` watches one file that it landed.

-- name: newest_file :: one row: the highest file_id, 0 in an empty ledger
SELECT coalesce(max(file_id), 0) AS file_id
FROM ledger.files;

-- name: landed_file :: the file of these bytes under this name that came after %(after)s; no row until it is registered
SELECT
    files.file_id,
    files.name,
    files.state,
    files.contract,
    files.rows_read,
    files.rows_loaded,
    files.rows_rejected,
    files.rows_duplicate,
    files.error,
    files.waits_under,
    files.duplicate_of,
    original.name AS original_name,
    original.state AS original_state
FROM ledger.files AS files
LEFT JOIN ledger.files AS original ON original.file_id = files.duplicate_of
WHERE files.file_id > %(after)s AND files.sha256 = %(sha256)s AND files.name = %(name)s
ORDER BY files.file_id DESC
LIMIT 1;

-- name: first_rejects :: up to %(most)s rejected rows of a file, in the file's order
SELECT record_number, line_number, rules, error_class, raw
FROM ledger.rejects
WHERE file_id = %(file_id)s
ORDER BY record_number
LIMIT %(most)s;

-- name: replaced_by :: a row a file that this one replaced, with the rows that ceased to be that file's
SELECT file_id, (details ->> 'rows_taken_out')::bigint AS rows_out
FROM ledger.audit
WHERE action = 'replace' AND (details ->> 'replaced_by')::bigint = %(file_id)s
ORDER BY file_id;
