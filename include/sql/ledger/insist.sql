-- Loading an old revision all the same: who wants it and why is noted before the file can be loaded.

-- name: note_wish :: one that was never used gives way
INSERT INTO ledger.insistences (name, sha256, reason, by_whom)
VALUES (%(name)s, %(sha256)s, %(reason)s, %(by_whom)s)
ON CONFLICT (sha256, name) WHERE file_id IS NULL
DO UPDATE SET reason = excluded.reason, by_whom = excluded.by_whom, at = excluded.at;

-- name: lock_file :: one row, and which other file has the same bytes now, if one does
SELECT
    name,
    sha256,
    path,
    state,
    rejected_for,
    (
        SELECT file_id FROM ledger.files AS living
        WHERE living.sha256 = files.sha256 AND living.state IN ('landed', 'loaded')
    ) AS living
FROM ledger.files
WHERE file_id = %(file_id)s
FOR UPDATE;

-- name: bind :: the wish is this file's at once
INSERT INTO ledger.insistences (name, sha256, reason, by_whom, file_id)
VALUES (%(name)s, %(sha256)s, %(reason)s, %(by_whom)s, %(file_id)s)
ON CONFLICT (file_id) DO NOTHING;

-- name: note :: nothing; an entry of the audit
INSERT INTO ledger.audit (action, file_id, reason, by_whom, details)
VALUES (
    'insist', %(file_id)s, %(reason)s, %(by_whom)s, jsonb_build_object('name', %(name)s::text, 'sha256', %(sha256)s::text)
);

-- name: land_again :: nothing; the file waits to be loaded
UPDATE ledger.files
SET state = 'landed', rejected_for = NULL, rejected_at = NULL, error = NULL, landed_again_at = clock_timestamp()
WHERE file_id = %(file_id)s;
