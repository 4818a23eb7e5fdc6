-- The ledger's id, and whether the folders of the pipeline were given it.

-- name: identity :: one row
SELECT ledger_id::text AS ledger_id, folders_marked_at
FROM ledger.identity;

-- name: lock_identity :: one row, held until the transaction ends
SELECT ledger_id::text AS ledger_id, folders_marked_at
FROM ledger.identity
FOR UPDATE;

-- name: note_marked :: nothing; the folders carry the ledger's marker
UPDATE ledger.identity
SET folders_marked_at = clock_timestamp();

-- name: newest_paths :: where the newest files lie that were not sealed and not sent back
SELECT path
FROM ledger.files
WHERE sealed_at IS NULL AND (path LIKE 'processing/%%' OR path LIKE 'archive/%%')
ORDER BY file_id DESC
LIMIT %(most)s;

-- name: take_over :: the ledger has this id from now on
UPDATE ledger.identity
SET ledger_id = %(ledger_id)s, folders_marked_at = %(folders_marked_at)s;

-- name: has_identity :: whether the ledger is new enough to have one
SELECT to_regclass('ledger.identity') IS NOT NULL AS has_identity;
