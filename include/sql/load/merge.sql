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

-- name: make_twins :: nothing; a table for all rows of the ids that were found, and the bounds of their months
CREATE TEMPORARY TABLE twin_rows (
    LIKE public.events,
    low  timestamptz NOT NULL,
    high timestamptz NOT NULL
);

-- name: make_late :: nothing; a table for rows whose id an earlier row has, in another month
CREATE TEMPORARY TABLE late_rows (
    event_id      uuid NOT NULL,
    event_time    timestamptz NOT NULL,
    file_id       bigint NOT NULL,
    record_number bigint NOT NULL,
    low           timestamptz NOT NULL,
    high          timestamptz NOT NULL,
    kept_time     timestamptz NOT NULL,
    kept_file     bigint NOT NULL,
    kept_record   bigint NOT NULL,
    is_same       boolean NOT NULL
);

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

-- name: know :: nothing; PostgreSQL knows how many rows the table has
ANALYZE {table};

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

-- name: find_twins :: nothing; the rows of those ids in the partition from {low} and before {high}
INSERT INTO twin_rows
SELECT present.*, {low}::timestamptz, {high}::timestamptz
FROM public.events AS present
WHERE event_id IN (SELECT event_id FROM found_ids)
    AND event_time >= {low}::timestamptz
    AND event_time < {high}::timestamptz;

-- name: find_late :: how many rows are later than another of their id: which stays, and whether they say the same but when
-- Later is what has the higher (file_id, record_number); but never a row whose bytes housekeeping has deleted.
INSERT INTO late_rows
SELECT
    late.event_id, late.event_time, late.file_id, late.record_number, late.low, late.high,
    kept.event_time, kept.file_id, kept.record_number,
    {same_content}
FROM (
    SELECT DISTINCT ON (event_id) twin_rows.*
    FROM twin_rows
    LEFT JOIN ledger.files ON files.file_id = twin_rows.file_id
    ORDER BY event_id, sealed_at IS NULL, twin_rows.file_id, record_number
) AS kept
JOIN twin_rows AS late ON late.event_id = kept.event_id
WHERE (late.file_id, late.record_number) <> (kept.file_id, kept.record_number);

-- name: count_rows :: one row: files and rows that were compared
SELECT (SELECT count(*) FROM merging_files), (SELECT count(*) FROM merging_rows);

-- name: late_files :: a row a file that has late rows
SELECT DISTINCT file_id FROM late_rows ORDER BY file_id;

-- name: late_months :: a row a month in which file $1 has late rows: how many, and its bounds
SELECT count(*), low::text, high::text FROM late_rows WHERE file_id = $1 GROUP BY low, high ORDER BY low;

-- Of a feed whose rows have no moment but that of their file's arrival ($2: the contracts of such feeds) equal content is a
-- duplicate whenever it comes, of all others a row of another month is a conflict.

-- name: unread :: file and record of each late row of file $1, and of each duplicate of one, that would be a conflict
-- But those whose bytes are there: read by this merge, or of a reject whose replay had brought the row.
SELECT file_id, record_number
FROM (
    SELECT file_id, record_number, is_same
    FROM late_rows
    WHERE file_id = $1
    UNION ALL
    SELECT duplicate.file_id, duplicate.record_number, is_same
    FROM late_rows AS late
    JOIN ledger.duplicates AS duplicate USING (event_id, event_time)
    WHERE late.file_id = $1
) AS later
JOIN ledger.files USING (file_id)
WHERE NOT (is_same AND contract = ANY ($2::text[]))
    AND NOT EXISTS (
        SELECT FROM late_rejects AS reject
        WHERE reject.file_id = later.file_id AND reject.record_number = later.record_number
    )
    AND NOT EXISTS (
        SELECT FROM ledger.rejects AS reject
        WHERE reject.file_id = later.file_id AND reject.record_number = later.record_number
    )
ORDER BY file_id, record_number;

-- name: describe :: how to read a file again, whether its bytes were deleted, and the ledger's id
SELECT
    name, path, sha256, bytes, contract, header::text, marked_encoding, read_as::text, sealed_at IS NOT NULL,
    (SELECT ledger_id::text FROM ledger.identity)
FROM ledger.files
WHERE file_id = $1;

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

-- name: take_out :: how many rows of file $1, from $2 and before $3, left events: those that are there, as is what stays
-- The one that stays is looked up, row by row (OFFSET 0 sees to that), in its month alone.
WITH late AS (
    SELECT late_rows.*
    FROM late_rows
    CROSS JOIN LATERAL (
        SELECT
        FROM public.events
        WHERE event_id = late_rows.event_id
            AND event_time = late_rows.kept_time
            AND file_id = late_rows.kept_file
            AND record_number = late_rows.kept_record
        OFFSET 0
    ) AS kept
    WHERE late_rows.file_id = $1 AND low = $2::timestamptz
), gone AS (
    DELETE FROM public.events AS present
    USING late
    WHERE present.event_time >= $2::timestamptz
        AND present.event_time < $3::timestamptz
        AND present.event_id = late.event_id
        AND present.event_time = late.event_time
        AND present.file_id = late.file_id
        AND present.record_number = late.record_number
    RETURNING present.*
), kept AS (
    INSERT INTO withdrawn_events
    SELECT * FROM gone
)
SELECT count(*) FROM gone;

-- name: settle :: by file: how many rows had been loaded, had been duplicates of these, and are conflicts now
-- The others are duplicates of the row that stays.
WITH later AS (
    SELECT file_id, record_number, event_id, event_time, kept_time, is_same, true AS was_loaded
    FROM withdrawn_events
    JOIN late_rows USING (file_id, record_number, event_id, event_time)
    WHERE file_id = $1
), judged AS (
    SELECT later_row.*, contract, contract_version, is_same AND contract = ANY ($2::text[]) AS is_duplicate
    FROM (
        SELECT * FROM later
        UNION ALL
        SELECT duplicate.file_id, duplicate.record_number, event_id, event_time, kept_time, is_same, false
        FROM later
        JOIN ledger.duplicates AS duplicate USING (event_id, event_time)
    ) AS later_row
    JOIN ledger.files USING (file_id)
), ended AS (
    DELETE FROM ledger.duplicates AS duplicate
    USING judged
    WHERE (duplicate.file_id, duplicate.record_number) = (judged.file_id, judged.record_number) AND NOT is_duplicate
), moved AS (
    UPDATE ledger.duplicates AS duplicate
    SET event_time = kept_time
    FROM judged
    WHERE (duplicate.file_id, duplicate.record_number) = (judged.file_id, judged.record_number) AND is_duplicate
), noted AS (
    INSERT INTO ledger.duplicates (file_id, record_number, event_id, event_time)
    SELECT file_id, record_number, event_id, kept_time FROM judged WHERE was_loaded AND is_duplicate
), repeats AS (
    UPDATE ledger.rejects AS reject
    SET state = 'duplicate'
    FROM judged
    WHERE (reject.file_id, reject.record_number) = (judged.file_id, judged.record_number) AND was_loaded AND is_duplicate
), again AS (
    UPDATE ledger.rejects AS reject
    SET state = 'quarantined', rules = ARRAY['event_id.conflict'], error_class = 'conflict', replayed_at = NULL
    FROM judged
    WHERE (reject.file_id, reject.record_number) = (judged.file_id, judged.record_number) AND NOT is_duplicate
), rejected AS (
    INSERT INTO ledger.rejects (
        file_id, record_number, line_number, raw, fields, rules, error_class, contract, contract_version
    )
    SELECT
        file_id, record_number, late.line_number, late.raw, late.fields, late.rules, late.error_class,
        judged.contract, judged.contract_version
    FROM judged
    JOIN late_rejects AS late USING (file_id, record_number)
    WHERE NOT is_duplicate
), counted AS (
    SELECT
        file_id,
        count(*) FILTER (WHERE was_loaded) AS from_loaded,
        count(*) FILTER (WHERE NOT was_loaded) AS from_duplicates,
        count(*) FILTER (WHERE NOT is_duplicate) AS conflicts
    FROM judged
    GROUP BY file_id
), tallies AS (
    UPDATE ledger.files
    SET rows_loaded = rows_loaded - from_loaded,
        rows_rejected = rows_rejected + conflicts,
        rows_duplicate = rows_duplicate + from_loaded - conflicts
    FROM counted
    WHERE files.file_id = counted.file_id
)
SELECT file_id, from_loaded, from_duplicates, conflicts FROM counted ORDER BY file_id;

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
INSERT INTO ledger.merges (begun_at, files, rows, conflicts, duplicates, waiting)
VALUES ($1, $2, $3, $4, $5, $6::text::jsonb);

-- name: now :: the server's clock
SELECT clock_timestamp();
