-- Dropping months that are older than the kept ones. Parameters are numbered, as the loader's driver wants them.

-- name: raise_cut :: nothing; from now on events of before the last $1 whole months (UTC) are rejected
INSERT INTO ledger.retentions (expired_before)
SELECT cut
FROM (SELECT (date_trunc('month', now() AT TIME ZONE 'UTC') - make_interval(months => $1)) AT TIME ZONE 'UTC' AS cut) AS asked
WHERE cut > ledger.expired_before()
ON CONFLICT DO NOTHING;

-- name: cut :: one row: events before it have expired, as text and in microseconds since 1970 (NULL: none ever did)
SELECT max(expired_before)::text, (extract(epoch FROM max(expired_before)) * 1000000)::bigint FROM ledger.retentions;

-- name: hold_month :: nobody writes to the partition $1 until the transaction ends; its readers go on
-- Raises object_in_use when the reports have not counted changes of its rows.
SELECT FROM ledger.hold_month($1);

-- name: make_expiring :: nothing; a table for what each file loses
CREATE TEMPORARY TABLE IF NOT EXISTS expiring_files (
    file_id bigint NOT NULL,
    rows    bigint NOT NULL,
    records numeric NOT NULL,
    digests bit(128)
) ON COMMIT DELETE ROWS;

-- name: count_rows :: how many files have rows from $1 and before $2, a partition
-- A pending receipt needs no digest.
INSERT INTO expiring_files
SELECT
    present.file_id,
    count(*),
    sum(record_number),
    bit_xor(CASE WHEN files.receipt IS NOT NULL THEN ledger.row_digest(present) END)
FROM public.events AS present
LEFT JOIN ledger.files USING (file_id)
WHERE event_time >= $1::timestamptz AND event_time < $2::timestamptz
GROUP BY present.file_id;

-- name: be_brief :: what is held from here on is held for a moment only
SET LOCAL lock_timeout = '500ms';

-- name: hold_files :: how many files lose rows; they stay as they are until the transaction ends
-- A file that somebody holds is not waited for: loads may wait for those that are held already.
SELECT count(*)
FROM (
    SELECT
    FROM ledger.files
    WHERE file_id IN (SELECT file_id FROM expiring_files)
    ORDER BY file_id
    FOR NO KEY UPDATE NOWAIT
) AS held;

-- name: settle :: nothing; the files' tallies and receipts are those without the rows of the partition $1, the audit says so
-- A receipt that was made since the rows were counted is made anew.
WITH before AS (
    SELECT expiring_files.*, receipt AS was
    FROM expiring_files
    JOIN ledger.files USING (file_id)
), changed AS (
    UPDATE ledger.files
    SET rows_expired = files.rows_expired + before.rows,
        expired_records = files.expired_records + before.records,
        receipt = CASE WHEN digests IS NOT NULL THEN ledger.receipt_after(receipt, digests) END,
        receipt_version = CASE WHEN digests IS NOT NULL THEN receipt_version END,
        receipt_at = CASE WHEN digests IS NOT NULL THEN receipt_at END
    FROM before
    WHERE files.file_id = before.file_id
    RETURNING files.file_id, before.rows, was, receipt
)
INSERT INTO ledger.audit (action, file_id, reason, by_whom, details)
SELECT
    'expire',
    file_id,
    format('events are kept from %s on', $2::text),
    'keep_house',
    jsonb_build_object('month', $1::text, 'rows_expired', rows, 'was', was, 'is', receipt)
FROM changed
ORDER BY file_id;

-- name: drop_month :: the partition is gone once this is committed; it waits for who uses events now, and they for it
SELECT FROM ledger.drop_month($1);

-- name: note :: how many rows were dropped with the partition $1, which held events from $2 and before $3
INSERT INTO ledger.expired_months (month, begins, ends, files, rows)
SELECT $1, $2::timestamptz, $3::timestamptz, count(*), coalesce(sum(rows), 0) FROM expiring_files
RETURNING rows;
