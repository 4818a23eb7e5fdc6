-- What the ledger says of a file that has not landed yet.

-- name: same_bytes :: one row when a file of these bytes (%(sha256)s) is there: the new one would be a duplicate of it
SELECT file_id, name, state, landed_at
FROM ledger.files
WHERE sha256 = %(sha256)s AND state IN ('landed', 'loaded')
LIMIT 1;

-- name: same_name :: the loaded files of the name %(name)s and the contract %(contract)s, the newest first
SELECT file_id, rows_loaded, loaded_at
FROM ledger.files
WHERE name = %(name)s AND contract = %(contract)s AND state = 'loaded'
ORDER BY file_id DESC
LIMIT 5;

-- name: expired_before :: one row: in microseconds since 1970, events of before are not kept, NULL when all are
SELECT (extract(epoch FROM max(expired_before)) * 1000000)::bigint AS micros FROM ledger.retentions;
