-- The recount: what the tables hold, file by file, against what the ledger says. Read in one snapshot; noted at its end.

-- name: files_to_verify :: every file that has left the landed state, oldest first
SELECT
    file_id, name, path, sha256, bytes, contract, contract_version, state, sealed_at IS NOT NULL AS is_sealed,
    coalesce(rows_landed_at, landed_at) AS landed_at, header, marked_encoding, read_as,
    rows_read, rows_loaded, rows_rejected, rows_duplicate, rows_expired, expired_records, receipt
FROM ledger.files
WHERE state <> 'landed'
ORDER BY file_id;

-- name: files_since :: the same, of those that were loaded, or whose rows changed, in the last so many days
-- OFFSET 0: each file is looked up. A join would read the whole ledger.
SELECT file.*
FROM (
    SELECT file_id
    FROM ledger.files
    WHERE loaded_at >= now() - make_interval(secs => 86400 * %(days)s::float8)
    UNION
    SELECT file_id
    FROM ledger.audit
    WHERE at >= now() - make_interval(secs => 86400 * %(days)s::float8)
) AS changed
CROSS JOIN LATERAL (
    SELECT
        file_id, name, path, sha256, bytes, contract, contract_version, state, sealed_at IS NOT NULL AS is_sealed,
        coalesce(rows_landed_at, landed_at) AS landed_at, header, marked_encoding, read_as,
        rows_read, rows_loaded, rows_rejected, rows_duplicate, rows_expired, expired_records, receipt
    FROM ledger.files
    WHERE files.file_id = changed.file_id AND state <> 'landed'
    OFFSET 0
) AS file
ORDER BY file_id;

-- name: rows_by_file :: rows of each table, the sum of their record numbers, and the digest of events, by file
WITH accounted AS (
    SELECT
        file_id, record_number, 1 AS in_events, 0 AS in_rejects, 0 AS in_duplicates,
        ledger.row_digest(events) AS digest
    FROM public.events
    UNION ALL
    SELECT file_id, record_number, 0, 1, 0, NULL
    FROM ledger.rejects
    WHERE state = 'quarantined'
    UNION ALL
    SELECT file_id, record_number, 0, 0, 1, NULL
    FROM ledger.duplicates
)
SELECT
    file_id,
    sum(in_events)::bigint AS loaded,
    sum(in_rejects)::bigint AS rejected,
    sum(in_duplicates)::bigint AS duplicate,
    sum(record_number)::numeric AS record_numbers,
    min(record_number) AS first,
    max(record_number) AS last,
    ledger.receipt_of(bit_xor(digest)) AS digest
FROM accounted
GROUP BY file_id;

-- name: rows_of_files :: the same of these files, between the first and the last of them
WITH accounted AS (
    SELECT
        file_id, record_number, 1 AS in_events, 0 AS in_rejects, 0 AS in_duplicates,
        ledger.row_digest(events) AS digest
    FROM public.events
    WHERE file_id BETWEEN %(first)s AND %(last)s
        AND file_id = ANY(%(file_ids)s)
        AND event_time >= (SELECT min(ledger.since(first_event_time)) FROM ledger.files WHERE file_id = ANY(%(file_ids)s))
        AND event_time <= (SELECT max(ledger.until(last_event_time)) FROM ledger.files WHERE file_id = ANY(%(file_ids)s))
    UNION ALL
    SELECT file_id, record_number, 0, 1, 0, NULL
    FROM ledger.rejects
    WHERE state = 'quarantined' AND file_id = ANY(%(file_ids)s)
    UNION ALL
    SELECT file_id, record_number, 0, 0, 1, NULL
    FROM ledger.duplicates
    WHERE file_id = ANY(%(file_ids)s)
)
SELECT
    file_id,
    sum(in_events)::bigint AS loaded,
    sum(in_rejects)::bigint AS rejected,
    sum(in_duplicates)::bigint AS duplicate,
    sum(record_number)::numeric AS record_numbers,
    min(record_number) AS first,
    max(record_number) AS last,
    ledger.receipt_of(bit_xor(digest)) AS digest
FROM accounted
GROUP BY file_id;

-- name: landed_count :: files that wait
SELECT count(*) AS files
FROM ledger.files
WHERE state = 'landed';

-- name: sampled_rejects :: up to ten quarantined rejects of each of these files, the same at every recount
SELECT file_id, record_number
FROM (
    SELECT
        file_id,
        record_number,
        row_number() OVER (PARTITION BY file_id ORDER BY record_number * 7919 %% 10007, record_number) AS place
    FROM ledger.rejects
    WHERE file_id = ANY(%(file_ids)s) AND state = 'quarantined'
) AS shuffled
WHERE place <= 10;

-- name: sampled_events :: the rows of events at these records; event_id without hyphens, no moment that Python lacks
-- IS TRUE: each row is looked for in a hash of the records. Of rows newer than its statistics PostgreSQL expects one; a join
-- would then go through all rows of these files once for each record.
SELECT
    events.*,
    replace(event_id::text, '-', '') AS event_id,
    CASE WHEN event_time >= '0001-01-02Z' AND event_time < '9999-12-31Z' THEN event_time END AS event_time
FROM public.events
WHERE ((file_id, record_number) IN (SELECT * FROM unnest(%(file_ids)s::bigint[], %(records)s::bigint[]))) IS TRUE
    AND file_id BETWEEN %(first)s AND %(last)s
    AND event_time >= (
        SELECT min(ledger.since(first_event_time)) FROM ledger.files WHERE file_id = ANY(%(file_ids)s)
    )
    AND event_time <= (
        SELECT max(ledger.until(last_event_time)) FROM ledger.files WHERE file_id = ANY(%(file_ids)s)
    );

-- name: sampled_repeated :: the rows of events that these records are duplicates of
SELECT
    events.*,
    replace(events.event_id::text, '-', '') AS event_id,
    CASE WHEN events.event_time >= '0001-01-02Z' AND events.event_time < '9999-12-31Z' THEN events.event_time END AS event_time,
    duplicates.file_id,
    duplicates.record_number
FROM unnest(%(file_ids)s::bigint[], %(records)s::bigint[]) AS wanted (file_id, record_number)
JOIN ledger.duplicates USING (file_id, record_number)
JOIN public.events USING (event_id, event_time);

-- name: sampled_expired :: those of these records that are duplicates of rows that have expired
SELECT file_id, record_number
FROM unnest(%(file_ids)s::bigint[], %(records)s::bigint[]) AS wanted (file_id, record_number)
JOIN ledger.duplicates USING (file_id, record_number)
WHERE duplicates.event_time < (SELECT ledger.expired_before());

-- name: expired_before :: the moment before which events are no longer kept; NULL when that is not in Python's years
SELECT CASE WHEN cut >= '0001-01-02Z' AND cut < '9999-12-31Z' THEN cut END AS cut FROM ledger.expired_before() AS cut;

-- name: sampled_records_set_aside :: the rejects at these records, also those that were replayed since
SELECT rejects.*, rejects.edited_at IS NOT NULL AS edited
FROM unnest(%(file_ids)s::bigint[], %(records)s::bigint[]) AS wanted (file_id, record_number)
JOIN ledger.rejects USING (file_id, record_number)
WHERE rejects.state <> 'withdrawn';

-- name: forsaken_duplicates :: duplicates whose rows nobody has: what they repeat is neither loaded nor waiting
SELECT duplicate.file_id, duplicate.name, duplicate.duplicate_of, coalesce(original.state, 'unknown') AS original_state
FROM ledger.files AS duplicate
LEFT JOIN ledger.files AS original ON original.file_id = duplicate.duplicate_of
WHERE duplicate.state = 'duplicate'
    AND (original.state IN ('landed', 'loaded') AND original.sha256 = duplicate.sha256) IS NOT TRUE
ORDER BY duplicate.file_id;

-- name: note_recount :: nothing; a recount has come to its end, whatever it found
INSERT INTO ledger.recounts (begun_at, days, files, rows, holds, problems)
VALUES (%(begun_at)s, %(days)s, %(files)s, %(rows)s, %(problems)s::bigint = 0, %(problems)s);
