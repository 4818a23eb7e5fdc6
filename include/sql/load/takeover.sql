-- What becomes of the duplicates of a file that has ended, within the transaction that ended it; and the rule that an old
-- revision does not come back unasked. Parameters are numbered, as the loader's driver wants them.
--
-- Duplicates are found by their bytes: at most one file of the same bytes is landed or loaded (the_same_bytes_load_once),
-- and it is the original of all of them. Whoever ends a file holds its row FOR UPDATE, the mover that registers a
-- duplicate holds it FOR KEY SHARE: so the one sees what the other did.

-- name: lock_duplicates :: file_id, name, path and whether its bytes were deleted, oldest first; held until the end
SELECT file_id, name, path, sealed_at IS NOT NULL AS is_sealed
FROM ledger.files
WHERE state = 'duplicate' AND sha256 = (SELECT sha256 FROM ledger.files WHERE file_id = $1)
ORDER BY file_id
FOR UPDATE;

-- name: follow :: file_id of the duplicates that end as their original ($1) did; $2: the unload asked for them too
-- A name decides on decompression, so the same bytes under another kind of name may well be readable.
UPDATE ledger.files AS duplicate
SET state = original.state,
    contract = original.contract,
    contract_version = original.contract_version,
    rejected_for = original.rejected_for,
    rejected_at = original.rejected_at,
    error = original.error
FROM ledger.files AS original
WHERE original.file_id = $1
    AND duplicate.sha256 = original.sha256
    AND duplicate.state = 'duplicate'
    AND CASE
        WHEN original.state = 'unloaded' THEN $2::boolean
        WHEN original.state = 'replaced' THEN
            duplicate.name = original.name
            AND NOT EXISTS (SELECT FROM ledger.insistences WHERE insistences.file_id = duplicate.file_id)
        WHEN original.rejected_for = 'content' THEN
            substring(lower(duplicate.name) FROM '\.(gz|zst)$')
            IS NOT DISTINCT FROM substring(lower(original.name) FROM '\.(gz|zst)$')
        ELSE false
    END
RETURNING duplicate.file_id;

-- name: land_heir :: the file waits to be loaded, from where its bytes lie
UPDATE ledger.files
SET state = 'landed', duplicate_of = NULL, sealed_at = NULL, landed_again_at = clock_timestamp()
WHERE file_id = $1 AND state = 'duplicate';

-- name: hand_over_rows :: how many rows of events; the rows that file $1 had are $2's, record by record
WITH given AS (
    INSERT INTO public.events
    SELECT given.*
    FROM withdrawn_events AS withdrawn
    CROSS JOIN LATERAL jsonb_populate_record(withdrawn, jsonb_build_object('file_id', $2::bigint)) AS given
    WHERE withdrawn.file_id = $1
    ORDER BY withdrawn.record_number
    RETURNING *
), kept AS (
    INSERT INTO given_events
    SELECT * FROM given
), rejects AS (
    UPDATE ledger.rejects SET file_id = $2 WHERE file_id = $1
), duplicates AS (
    UPDATE ledger.duplicates SET file_id = $2 WHERE file_id = $1
)
SELECT count(*) FROM given;

-- name: hand_over_tally :: file $2 is loaded as $1 was
UPDATE ledger.files AS heir
SET state = 'loaded',
    duplicate_of = NULL,
    contract = original.contract,
    contract_version = original.contract_version,
    rows_read = original.rows_read,
    rows_loaded = original.rows_loaded,
    rows_rejected = original.rows_rejected,
    rows_duplicate = original.rows_duplicate,
    rows_warned = original.rows_warned,
    rows_expired = original.rows_expired,
    expired_records = original.expired_records,
    epoch = original.epoch,
    host = original.host,
    header = original.header,
    marked_encoding = original.marked_encoding,
    read_as = original.read_as,
    first_event_time = original.first_event_time,
    last_event_time = original.last_event_time,
    merged_at = NULL,
    rows_landed_at = coalesce(original.rows_landed_at, original.landed_at),
    landed_again_at = clock_timestamp(),
    loaded_at = clock_timestamp()
FROM ledger.files AS original
WHERE original.file_id = $1 AND heir.file_id = $2;

-- name: follow_heir :: the other duplicates of these bytes are the heir's ($1) now
UPDATE ledger.files AS duplicate
SET duplicate_of = heir.file_id
FROM ledger.files AS heir
WHERE heir.file_id = $1 AND duplicate.sha256 = heir.sha256 AND duplicate.state = 'duplicate';

-- name: describe :: name, contract, sha256, state and rejected_for of a file
SELECT name, contract, sha256, state, rejected_for
FROM ledger.files
WHERE file_id = $1;

-- name: find_undone :: the replaced file and the newer revision that file $4 (name $1, contract $2, sha256 $3) would undo
-- A landed file's contract is not known yet, so its name is enough. Nothing when somebody insists on file $4.
SELECT gone.file_id, newer.file_id
FROM ledger.files AS gone
JOIN ledger.files AS newer ON newer.name = gone.name AND newer.file_id > gone.file_id
WHERE gone.name = $1
    AND gone.contract = $2
    AND gone.sha256 = $3
    AND gone.state = 'replaced'
    AND newer.file_id < $4
    AND newer.sha256 <> $3
    AND (newer.state = 'landed' OR newer.state = 'loaded' AND newer.contract = $2)
    AND NOT EXISTS (SELECT FROM ledger.insistences WHERE insistences.file_id = $4)
ORDER BY newer.file_id DESC, gone.file_id DESC
LIMIT 1;

-- name: set_aside :: a duplicate whose turn it would be, but for the rule of find_undone
UPDATE ledger.files
SET state = 'rejected', contract = $2, rejected_for = 'undoes', rejected_at = clock_timestamp(), error = $3
WHERE file_id = $1 AND state = 'duplicate';
