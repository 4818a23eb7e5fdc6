-- Comparing the ids of new rows with those of all months, and setting aside the later one of two. Parameters are numbered,
-- as the loader's driver wants them. Temporary tables live as long as the session: each step is a transaction of its own,
-- so that nothing that a load needs is held for long.

-- name: begin_alone :: one row: whether no other merge runs; held until the session ends
SELECT pg_try_advisory_lock(7215482305);

-- name: is_due :: one row: whether the last merge began $1 seconds ago or earlier, or none ever did
SELECT coalesce(max(begun_at) < clock_timestamp() - make_interval(secs => $1), true) FROM ledger.merges;

-- name: make_files :: nothing; the files that no merge has seen, as they are now, and the moments of their months
CREATE TEMPORARY TABLE merging_files AS
SELECT
    file_id,
    xmin::text AS version,
    ledger.since(first_event_time) AS since,
    ledger.until(last_event_time) AS until
FROM ledger.files
WHERE state = 'loaded' AND merged_at IS NULL;

-- name: make_rows :: nothing; a table for their rows
CREATE TEMPORARY TABLE merging_rows (
    event_id      uuid NOT NULL,
    event_time    timestamptz NOT NULL,
    file_id       bigint NOT NULL,
    record_number bigint NOT NULL
);

-- name: make_found :: nothing; a table for ids that are in another month than their row's
CREATE TEMPORARY TABLE found_ids (event_id uuid NOT NULL);

-- name: make_late :: nothing; a table for rows whose id an earlier row has, in another month
CREATE TEMPORARY TABLE late_rows (
    event_id      uuid NOT NULL,
    event_time    timestamptz NOT NULL,
    file_id       bigint NOT NULL,
    record_number bigint NOT NULL,
    kept_time     timestamptz NOT NULL,
    kept_file     bigint NOT NULL,
    kept_record   bigint NOT NULL
);

-- name: make_twins :: nothing; a table for all rows of the ids that were found
CREATE TEMPORARY TABLE twin_rows (LIKE merging_rows);

-- name: make_rejects :: nothing; a table for rejects that may be needed
CREATE TEMPORARY TABLE late_rejects (LIKE ledger.rejects INCLUDING DEFAULTS);

-- name: runs :: first and last file_id of files that follow one another, with the moments of their months
SELECT min(file_id), max(file_id), min(since)::text, max(until)::text
FROM (
    SELECT *, count(*) FILTER (WHERE starts) OVER (ORDER BY file_id) AS run
    FROM (
        SELECT *, file_id - lag(file_id) OVER (ORDER BY file_id) > 100 AS starts FROM merging_files
    ) AS gaps
) AS runs
GROUP BY run
ORDER BY run;

-- name: take_rows :: nothing; the rows of files $1 to $2 that no merge has seen, from $3 to $4
INSERT INTO merging_rows
SELECT event_id, event_time, file_id, record_number
FROM public.events
WHERE file_id BETWEEN $1 AND $2
    AND event_time >= $3::timestamptz
    AND event_time <= $4::timestamptz
    AND file_id IN (SELECT file_id FROM merging_files);

-- name: index_rows :: nothing; PostgreSQL knows how many they are
ANALYZE merging_rows;

-- name: be_one :: nothing; one process, some memory
SELECT set_config('max_parallel_workers_per_gather', '0', false), set_config('work_mem', '64MB', false);

-- name: keys :: the ids of a partition, and from when and before when it holds events; only its key is read
SELECT event_id, {low}::timestamptz AS low, {high}::timestamptz AS high FROM {month};

-- name: find :: nothing; ids of new rows that are in another month than their row: the new ids are hashed once
INSERT INTO found_ids
SELECT DISTINCT merging.event_id
FROM merging_rows AS merging
JOIN ({keys}) AS present USING (event_id)
WHERE merging.event_time < present.low OR merging.event_time >= present.high;

-- name: find_twins :: nothing; the rows of those ids in the partition
INSERT INTO twin_rows
SELECT event_id, present.event_time, present.file_id, present.record_number
FROM (SELECT DISTINCT event_id FROM found_ids) AS found
JOIN {month} AS present USING (event_id);

-- name: find_late :: how many rows are later than another of their id: which of them was first
INSERT INTO late_rows
SELECT twin.event_id, twin.event_time, twin.file_id, twin.record_number, first_time, first_file, first_record
FROM (
    SELECT
        *,
        first_value(event_time) OVER in_order AS first_time,
        first_value(file_id) OVER in_order AS first_file,
        first_value(record_number) OVER in_order AS first_record
    FROM twin_rows
    WINDOW in_order AS (PARTITION BY event_id ORDER BY file_id, record_number)
) AS twin
WHERE (twin.file_id, twin.record_number) <> (first_file, first_record);

-- name: count_rows :: one row: files and rows that were compared
SELECT (SELECT count(*) FROM merging_files), (SELECT count(*) FROM merging_rows);

-- name: late_files :: a row a file that has late rows
SELECT DISTINCT file_id FROM late_rows ORDER BY file_id;

-- name: places :: file and record of each late row of file $1, and of each duplicate of one
SELECT file_id, record_number FROM late_rows WHERE file_id = $1
UNION
SELECT duplicate.file_id, duplicate.record_number
FROM late_rows AS late
JOIN ledger.duplicates AS duplicate USING (event_id, event_time)
WHERE late.file_id = $1
ORDER BY file_id, record_number;

-- name: describe :: how to read a file again
SELECT name, path, sha256, bytes, contract, header::text, marked_encoding, read_as::text FROM ledger.files WHERE file_id = $1;

-- name: forget_rejects :: nothing
TRUNCATE late_rejects;

-- name: lock_files :: the file, and those that have duplicates of its late rows, stay as they are until the transaction ends
SELECT file_id, state
FROM ledger.files
WHERE file_id = $1 OR file_id IN (
    SELECT duplicate.file_id
    FROM late_rows AS late
    JOIN ledger.duplicates AS duplicate USING (event_id, event_time)
    WHERE late.file_id = $1
)
ORDER BY file_id
FOR UPDATE;

-- name: hold_kept :: the files whose rows stay
SELECT pg_advisory_xact_lock_shared(7215, slot)
FROM (SELECT DISTINCT (kept_file % 512)::integer AS slot FROM late_rows WHERE file_id = $1 ORDER BY slot) AS slots;

-- name: take_out :: how many rows of file $1, from $2 and before $3, left events: those that are there, as is the one that stays
WITH gone AS (
    DELETE FROM public.events AS present
    USING late_rows AS late
    WHERE late.file_id = $1
        AND present.event_time >= $2::timestamptz
        AND present.event_time < $3::timestamptz
        AND present.event_id = late.event_id
        AND present.event_time = late.event_time
        AND present.file_id = late.file_id
        AND present.record_number = late.record_number
        AND EXISTS (
            SELECT FROM public.events AS kept
            WHERE kept.event_id = late.event_id
                AND kept.event_time = late.kept_time
                AND kept.file_id = late.kept_file
                AND kept.record_number = late.kept_record
        )
    RETURNING present.*
), kept AS (
    INSERT INTO withdrawn_events
    SELECT * FROM gone
)
SELECT count(*) FROM gone;

-- name: settle :: by file: how many rows became conflicts that had been loaded, and that had been duplicates of these
WITH gone AS (
    SELECT * FROM withdrawn_events WHERE file_id = $1
), ended AS (
    DELETE FROM ledger.duplicates AS duplicate
    USING gone
    WHERE duplicate.event_id = gone.event_id AND duplicate.event_time = gone.event_time
    RETURNING duplicate.file_id, duplicate.record_number, duplicate.event_id, duplicate.event_time
), conflicts AS (
    SELECT file_id, record_number, event_id, event_time, true AS was_loaded FROM gone
    UNION ALL
    SELECT file_id, record_number, event_id, event_time, false FROM ended
), rejected AS (
    -- The row itself stands for its bytes, where these are gone.
    INSERT INTO ledger.rejects (
        file_id, record_number, line_number, raw, fields, rules, error_class, contract, contract_version
    )
    SELECT
        conflicts.file_id,
        conflicts.record_number,
        coalesce(late.line_number, 0),
        coalesce(
            late.raw,
            convert_to(
                jsonb_strip_nulls(
                    to_jsonb(gone)
                    || jsonb_build_object('file_id', conflicts.file_id, 'record_number', conflicts.record_number)
                )::text,
                'UTF8'
            )
        ),
        coalesce(late.fields, jsonb_strip_nulls(to_jsonb(gone)) - ARRAY['file_id', 'record_number']),
        ARRAY['event_id.conflict'],
        'conflict',
        files.contract,
        files.contract_version
    FROM conflicts
    JOIN gone USING (event_id, event_time)
    JOIN ledger.files ON files.file_id = conflicts.file_id
    LEFT JOIN late_rejects AS late ON (late.file_id, late.record_number) = (conflicts.file_id, conflicts.record_number)
    -- A reject whose replay had brought the row.
    ON CONFLICT (file_id, record_number) DO UPDATE
    SET state = 'quarantined', rules = EXCLUDED.rules, error_class = EXCLUDED.error_class, replayed_at = NULL
), counted AS (
    SELECT
        file_id,
        count(*) FILTER (WHERE was_loaded) AS from_loaded,
        count(*) FILTER (WHERE NOT was_loaded) AS from_duplicates
    FROM conflicts
    GROUP BY file_id
), tallies AS (
    UPDATE ledger.files
    SET rows_loaded = rows_loaded - from_loaded,
        rows_rejected = rows_rejected + from_loaded + from_duplicates,
        rows_duplicate = rows_duplicate - from_duplicates
    FROM counted
    WHERE files.file_id = counted.file_id
)
SELECT file_id, from_loaded, from_duplicates FROM counted ORDER BY file_id;

-- name: leave_file :: nothing; the next merge looks at file $1 again
DELETE FROM merging_files WHERE file_id = $1;

-- name: mark_files :: how many files this merge has seen: but those that were changed meanwhile, or are being changed
UPDATE ledger.files
SET merged_at = clock_timestamp()
WHERE file_id IN (
    SELECT files.file_id
    FROM ledger.files
    JOIN merging_files ON merging_files.file_id = files.file_id AND merging_files.version = files.xmin::text
    WHERE files.state = 'loaded'
    FOR NO KEY UPDATE OF files SKIP LOCKED
);

-- name: note :: nothing; the merge that began at $1 has ended
INSERT INTO ledger.merges (begun_at, files, rows, conflicts) VALUES ($1, $2, $3, $4);

-- name: now :: the server's clock
SELECT clock_timestamp();
