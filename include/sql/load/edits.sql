-- Edits of rejects' fields that somebody asks for together with a replay. Parameters are numbered, as the loader's driver
-- wants them. Locks come in the order of a replay: the file's row, then its rejects by number.

-- name: lock_file :: one row, or none: what the file's rejects are held against
SELECT name, state, header::text AS header
FROM ledger.files
WHERE file_id = $1
FOR UPDATE;

-- name: were_written :: one row when run $2 has written its edits of file $1 already
SELECT 1
FROM ledger.audit
WHERE file_id = $1 AND action = 'edit' AND details ->> 'run' = $2::text
LIMIT 1;

-- name: lock_rejects :: a row each of the records that there are
SELECT record_number, state, fields::text AS fields
FROM ledger.rejects
WHERE file_id = $1 AND record_number = ANY ($2::bigint[])
ORDER BY record_number
FOR NO KEY UPDATE;

-- name: write :: nothing; a trigger notes when
UPDATE ledger.rejects
SET fields = $3::text::jsonb
WHERE file_id = $1 AND record_number = $2;

-- name: note :: nothing; the audit has the names of the fields, their values are in the rejects
INSERT INTO ledger.audit (action, file_id, reason, by_whom, details)
VALUES ('edit', $1, 'fields of its quarantine were edited', $2, $3::text::jsonb);

-- name: settled :: how many of these records came to events, and how many were there
SELECT
    count(*) FILTER (WHERE state = 'replayed'),
    count(*) FILTER (WHERE state = 'duplicate')
FROM ledger.rejects
WHERE file_id = $1 AND record_number = ANY ($2::bigint[]);
