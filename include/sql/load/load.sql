-- What one file's transaction says to PostgreSQL. Parameters are numbered, for a raw cursor.

-- name: hold_stream :: the ledger's id while the epoch may write; its row stays locked until the transaction ends
-- With it, in microseconds since 1970, the moment before which events have expired (NULL: none have).
SELECT
    (SELECT ledger_id::text FROM ledger.identity) AS ledger_id,
    (SELECT (extract(epoch FROM max(expired_before)) * 1000000)::bigint FROM ledger.retentions) AS expired_before
FROM ledger.streams
WHERE epoch = $1 AND ended_at IS NULL
FOR KEY SHARE;

-- name: be_brief :: locks are asked for, hardly waited for, until the transaction ends
SET LOCAL lock_timeout = '50ms';

-- name: lock_file :: the file's row; landed_at in microseconds since 1970
SELECT
    file_id, name, path, sha256, bytes, state,
    (extract(epoch FROM coalesce(rows_landed_at, landed_at)) * 1000000)::bigint AS landed_at
FROM ledger.files
WHERE file_id = $1
FOR NO KEY UPDATE;

-- name: make_staging :: nothing; a table like events, until the transaction ends
CREATE TEMPORARY TABLE IF NOT EXISTS staged_events (LIKE public.events) ON COMMIT DELETE ROWS;

-- name: insert_staged :: nothing; the staged rows whose event_id was not there in their month are in events
-- Of two staged rows of one id and month the first is taken, as the key of the partition has it.
INSERT INTO public.events
SELECT *
FROM staged_events
ORDER BY event_id, record_number
ON CONFLICT DO NOTHING;

-- name: count_staged :: one row: how many rows are staged
SELECT count(*) FROM staged_events;

-- name: make_repeated :: nothing; a table for rows whose event_id is there, and the month in which it is
CREATE TEMPORARY TABLE IF NOT EXISTS repeated_events (
    LIKE public.events,
    low  timestamptz NOT NULL,
    high timestamptz NOT NULL
) ON COMMIT DELETE ROWS;

-- The rows that are there are looked for in one month at a time, whose moments are values when the query is planned, and
-- one by one (OFFSET 0 sees to that): so no other partition is touched, and none is read whole.

-- name: find_repeated :: how many of the staged rows from $1 and before $2, a month, the insert did not take: they are noted
INSERT INTO repeated_events
SELECT staged.*, $1::timestamptz, $2::timestamptz
FROM staged_events AS staged
LEFT JOIN LATERAL (
    SELECT file_id, record_number
    FROM public.events
    WHERE event_id = staged.event_id AND event_time >= $1::timestamptz AND event_time < $2::timestamptz
    OFFSET 0
) AS present ON true
WHERE staged.event_time >= $1::timestamptz
    AND staged.event_time < $2::timestamptz
    AND (present.file_id, present.record_number) IS DISTINCT FROM (staged.file_id, staged.record_number)
    -- A replay has looked in the other months before.
    AND NOT EXISTS (SELECT FROM repeated_events AS noted WHERE noted.record_number = staged.record_number);

-- name: find_originals :: slot of each file that has a row which is repeated in the month from $1 and before $2
SELECT DISTINCT (present.file_id % 512)::integer AS slot
FROM repeated_events AS staged
CROSS JOIN LATERAL (
    SELECT file_id
    FROM public.events
    WHERE event_id = staged.event_id AND event_time >= $1::timestamptz AND event_time < $2::timestamptz
    OFFSET 0
) AS present
WHERE staged.low = $1::timestamptz AND present.file_id <> staged.file_id;

-- name: hold_originals :: the files of these slots cannot be taken back until this transaction ends
-- The locks of withdraw.sql, in the order of the slots.
SELECT pg_advisory_xact_lock_shared(7215, slot) FROM unnest($1::integer[]) AS slot;

-- name: count_held :: noted rows of the month whose event is there, under this file or under one that is held
SELECT count(*)
FROM repeated_events AS staged
CROSS JOIN LATERAL (
    SELECT file_id
    FROM public.events
    WHERE event_id = staged.event_id AND event_time >= $1::timestamptz AND event_time < $2::timestamptz
    OFFSET 0
) AS present
WHERE staged.low = $1::timestamptz
    AND (
        present.file_id = staged.file_id
        OR present.file_id % 512 IN (
            SELECT objid::bigint
            FROM pg_locks
            WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND granted AND classid = 7215 AND objsubid = 2
        )
    );

-- name: sort_repeated :: one row: how many duplicates were noted, and the records that conflict (NULL: none does)
-- Noted rows of the month: with equal content a duplicate, else a conflict.
WITH repeated AS (
    SELECT staged.file_id, staged.record_number, staged.event_id, present.event_time, {same_content} AS is_same
    FROM repeated_events AS staged
    CROSS JOIN LATERAL (
        SELECT *
        FROM public.events
        WHERE event_id = staged.event_id AND event_time >= $1::timestamptz AND event_time < $2::timestamptz
        OFFSET 0
    ) AS present
    WHERE staged.low = $1::timestamptz
), noted AS (
    INSERT INTO ledger.duplicates (file_id, record_number, event_id, event_time)
    SELECT file_id, record_number, event_id, event_time FROM repeated WHERE is_same
    RETURNING 1
)
SELECT
    (SELECT count(*) FROM noted) AS duplicates,
    (SELECT array_agg(record_number ORDER BY record_number) FROM repeated WHERE NOT is_same) AS conflicts;

-- name: say_alive :: the file is read a second time: for long, perhaps, and PostgreSQL ends a client that says nothing
SELECT 1;

-- name: mark_loaded :: nothing; the file is loaded, with its tally; which rules its rejects break is counted ($19)
WITH counted AS (
    INSERT INTO ledger.counts (contract, what, label, amount)
    SELECT $2::text, 'rejects', rule, rows::bigint
    FROM jsonb_each_text($19::text::jsonb) AS broken (rule, rows)
)
UPDATE ledger.files
SET state = 'loaded',
    contract = $2,
    contract_version = $3,
    rows_read = $4,
    rows_loaded = $5,
    rows_rejected = $6,
    rows_duplicate = $7,
    rows_warned = $8,
    epoch = $9,
    host = $10,
    path = $11,
    header = $12::text::jsonb,
    marked_encoding = $13::text,
    drift = $14::text::jsonb,
    filled = $15::text::jsonb,
    read_as = $16::text::jsonb,
    first_event_time = $17,
    last_event_time = $18,
    merged_at = NULL,
    loaded_at = clock_timestamp(),
    rejected_for = NULL,
    rejected_at = NULL,
    waits_for = NULL,
    waits_under = NULL,
    error = NULL
WHERE file_id = $1 AND state = 'landed';

-- name: mark_rejected :: nothing; the file is set aside, with the reason
UPDATE ledger.files
SET state = 'rejected',
    contract = $2,
    contract_version = $3,
    epoch = $4,
    host = $5,
    path = $6,
    waits_for = NULL,
    waits_under = NULL,
    error = $7,
    rejected_for = $8,
    rejected_at = clock_timestamp()
WHERE file_id = $1 AND state = 'landed';

-- name: mark_waiting :: dealt out to nobody until the folder of contracts has another digest
UPDATE ledger.files
SET waits_for = 'contract',
    waits_under = $2,
    error = $3
WHERE file_id = $1 AND state = 'landed';

-- name: last_usable :: the contracts as they were when they could last be used
SELECT file, usable
FROM ledger.contracts
WHERE usable IS NOT NULL;
