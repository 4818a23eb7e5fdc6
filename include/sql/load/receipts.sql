-- Receipts of files, and how they follow the rows that come and go. Parameters are numbered, as the loader's driver
-- wants them.

-- name: next :: the oldest loaded file whose receipt is pending, locked, unless a file waits to be loaded
SELECT file_id
FROM ledger.files
WHERE state = 'loaded'
    AND receipt IS NULL
    AND (
        $1::boolean
        OR NOT EXISTS (
            SELECT FROM ledger.files AS waiting WHERE waiting.state = 'landed' AND waiting.waits_for IS NULL
        )
    )
ORDER BY file_id
LIMIT 1
FOR NO KEY UPDATE SKIP LOCKED;

-- name: lock_pending :: file $1, locked, if it is loaded and its receipt is pending
SELECT file_id
FROM ledger.files
WHERE file_id = $1 AND state = 'loaded' AND receipt IS NULL
FOR NO KEY UPDATE;

-- name: make :: its file_id
-- A statement of its own after the lock: it sees all that was committed before, and what comes or goes later waits.
UPDATE ledger.files
SET receipt = ledger.digest(file_id),
    receipt_version = 1,
    receipt_at = clock_timestamp()
WHERE file_id = $1 AND state = 'loaded' AND receipt IS NULL
RETURNING file_id;

-- name: follow_withdrawn :: file_id of each file whose receipt was changed: that of file $1, and of its heirs
-- What left file $1 is in withdrawn_events, what came to other files in given_events.
WITH moved AS (
    SELECT
        withdrawn.file_id, ledger.row_digest(ROW(withdrawn.*)::public.events) AS digest, 0 AS rows_in, 1 AS rows_out
    FROM withdrawn_events AS withdrawn
    WHERE withdrawn.file_id = $1
    UNION ALL
    SELECT given.file_id, ledger.row_digest(ROW(given.*)::public.events), 1, 0
    FROM given_events AS given
), changes AS (
    SELECT file_id, bit_xor(digest) AS digests, sum(rows_in) AS rows_in, sum(rows_out) AS rows_out
    FROM moved
    GROUP BY file_id
), changed AS (
    UPDATE ledger.files
    SET receipt = ledger.receipt_after(files.receipt, changes.digests)
    FROM changes
    WHERE files.file_id = changes.file_id AND files.receipt IS NOT NULL
    RETURNING files.file_id, files.receipt, changes.digests, changes.rows_in, changes.rows_out
), noted AS (
    INSERT INTO ledger.audit (action, file_id, reason, by_whom, details)
    SELECT
        'receipt',
        file_id,
        $2,
        $3,
        jsonb_build_object(
            'was', ledger.receipt_after(receipt, digests), 'is', receipt, 'rows_in', rows_in, 'rows_out', rows_out
        )
    FROM changed
    ORDER BY file_id
)
SELECT file_id FROM changed ORDER BY file_id;

-- name: follow_replayed :: file_id when the receipt of file $1 was changed by the staged rows that are in events now
WITH came AS (
    SELECT bit_xor(ledger.row_digest(ROW(staged.*)::public.events)) AS digests, count(*) AS rows_in
    FROM staged_events AS staged
    WHERE NOT EXISTS (SELECT FROM repeated_events AS noted WHERE noted.record_number = staged.record_number)
), changed AS (
    UPDATE ledger.files
    SET receipt = ledger.receipt_after(files.receipt, came.digests)
    FROM came
    WHERE files.file_id = $1 AND files.receipt IS NOT NULL AND came.rows_in > 0
    RETURNING files.file_id, files.receipt, came.digests, came.rows_in
), noted AS (
    INSERT INTO ledger.audit (action, file_id, reason, by_whom, details)
    SELECT
        'receipt',
        file_id,
        'rows of its quarantine were replayed',
        $2,
        jsonb_build_object(
            'was', ledger.receipt_after(receipt, digests), 'is', receipt, 'rows_in', rows_in, 'rows_out', 0
        )
    FROM changed
)
SELECT file_id FROM changed;

-- name: verify :: one row, one JSON object; NULL when there is no such file
SELECT ledger.verify($1::bigint);
