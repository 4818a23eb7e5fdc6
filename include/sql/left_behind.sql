-- What the database that a restore replaced knows and the restored one does not, and copying it over. {…} stands for
-- columns that both databases have.

-- name: columns :: the columns of a table, in order
SELECT attname AS name
FROM pg_attribute
WHERE attrelid = %(table)s::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
ORDER BY attnum;

-- name: loaded :: in the replaced database: the next loaded files after a file_id
SELECT file_id, name, sha256, bytes, path, contract, rows_read, rows_loaded, rows_rejected, loaded_at, sealed_at
FROM ledger.files
WHERE state = 'loaded' AND file_id > %(after)s
ORDER BY file_id
LIMIT %(most)s;

-- name: present :: files of these bytes that are loaded or wait
SELECT file_id, sha256, state, path
FROM ledger.files
WHERE sha256 = ANY(%(sha256)s) AND state IN ('landed', 'loaded');

-- name: adding_up :: in the replaced database: those of these files whose rows are all there
SELECT file_id
FROM ledger.files
WHERE file_id = ANY(%(file_ids)s)
    -- A database of before has no such column.
    AND rows_loaded - coalesce((to_jsonb(files) ->> 'rows_expired')::bigint, 0)
        = (SELECT count(*) FROM public.events WHERE events.file_id = files.file_id)
    AND rows_duplicate = (SELECT count(*) FROM ledger.duplicates WHERE duplicates.file_id = files.file_id)
    AND rows_rejected = (
        SELECT count(*) FROM ledger.rejects WHERE rejects.file_id = files.file_id AND rejects.state = 'quarantined'
    );

-- name: unloaded :: in the replaced database: the files that were unloaded
SELECT file_id, name, sha256
FROM ledger.files
WHERE state = 'unloaded'
ORDER BY file_id;

-- name: active :: those of these files that are loaded or wait to be
SELECT file_id, name, sha256
FROM ledger.files
WHERE file_id = ANY(%(file_ids)s) AND state IN ('landed', 'loaded');

-- name: handled_rejects :: by file: how many rejects were edited, and how many came out of quarantine by a replay
SELECT
    file_id,
    files.name,
    count(*) FILTER (WHERE edited_at IS NOT NULL) AS edited,
    max(edited_at) AS edited_at,
    count(*) FILTER (WHERE rejects.state IN ('replayed', 'duplicate')) AS replayed
FROM ledger.rejects
JOIN ledger.files USING (file_id)
WHERE edited_at IS NOT NULL OR rejects.state IN ('replayed', 'duplicate')
GROUP BY file_id, files.name
ORDER BY file_id;

-- name: audit_count :: entries of other files than these
SELECT count(*) AS entries FROM ledger.audit WHERE file_id <> ALL(%(besides)s);

-- name: newest_audit :: the newest of them, the oldest of those first
SELECT at, action, file_id, reason, by_whom
FROM (
    SELECT * FROM ledger.audit WHERE file_id <> ALL(%(besides)s) ORDER BY audit_id DESC LIMIT %(most)s
) AS newest
ORDER BY audit_id;

-- Copying, in one transaction of the restored database.

-- name: hold_still :: nobody registers, loads or unloads until this transaction ends
LOCK TABLE public.events, ledger.files, ledger.rejects, ledger.duplicates IN SHARE ROW EXCLUSIVE MODE;

-- name: make_copied_files :: nothing; a staging table like ledger.files
CREATE TEMPORARY TABLE copied_files (LIKE ledger.files INCLUDING DEFAULTS) ON COMMIT DROP;

-- name: make_copied_events :: nothing; one like events
CREATE TEMPORARY TABLE copied_events (LIKE public.events INCLUDING DEFAULTS) ON COMMIT DROP;

-- name: make_copied_rejects :: nothing; one like ledger.rejects
CREATE TEMPORARY TABLE copied_rejects (LIKE ledger.rejects INCLUDING DEFAULTS) ON COMMIT DROP;

-- name: make_copied_audit :: nothing; one like ledger.audit
CREATE TEMPORARY TABLE copied_audit (LIKE ledger.audit) ON COMMIT DROP;

-- name: copy_files :: in the replaced database: these files, for COPY
COPY (SELECT {columns} FROM ledger.files WHERE file_id = ANY(%(file_ids)s)) TO STDOUT (FORMAT binary);

-- name: copy_events :: in the replaced database: their events, for COPY
COPY (SELECT {columns} FROM public.events WHERE file_id = ANY(%(file_ids)s)) TO STDOUT (FORMAT binary);

-- name: copy_duplicates :: a duplicate's content is that of the row it repeats
COPY (
    SELECT {columns}
    FROM (
        SELECT present.*, duplicate.file_id, duplicate.record_number
        FROM ledger.duplicates AS duplicate
        JOIN (SELECT {content} FROM public.events) AS present USING ({row_id})
        WHERE duplicate.file_id = ANY(%(file_ids)s)
    ) AS repeated
) TO STDOUT (FORMAT binary);

-- name: copy_rejects :: in the replaced database: their rejects, for COPY
COPY (SELECT {columns} FROM ledger.rejects WHERE file_id = ANY(%(file_ids)s)) TO STDOUT (FORMAT binary);

-- name: copy_audit :: in the replaced database: what the audit says of them, for COPY
COPY (SELECT {columns} FROM ledger.audit WHERE file_id = ANY(%(file_ids)s)) TO STDOUT (FORMAT binary);

-- name: take :: into a staging table
COPY pg_temp.{table} ({columns}) FROM STDIN (FORMAT binary);

-- name: renumber :: a file that waits under another number gets its rows under that one
UPDATE pg_temp.{table} SET file_id = %(waiting)s WHERE file_id = %(file_id)s;

-- name: settle_files :: claims are this ledger's own, and so are references; no merge has seen their rows here
UPDATE copied_files AS copied
SET merged_at = NULL,
    (claim, claimed_at) = (SELECT claim, claimed_at FROM ledger.files WHERE files.file_id = copied.file_id),
    duplicate_of = (
        SELECT original.file_id
        FROM ledger.files AS original
        WHERE copied.state = 'duplicate' AND original.sha256 = copied.sha256 AND original.state = 'loaded'
    );

-- name: put_files :: file_ids are those of the replaced ledger, after which this one goes on
INSERT INTO ledger.files ({columns})
OVERRIDING SYSTEM VALUE
SELECT {columns} FROM copied_files WHERE state = %(state)s
ON CONFLICT (file_id) DO UPDATE SET ({columns_but_id}) = ROW ({excluded});

-- name: put_rejects :: nothing; the copied rejects are in ledger.rejects
INSERT INTO ledger.rejects ({columns})
SELECT {columns} FROM copied_rejects;

-- name: put_audit :: nothing; the copied entries are in ledger.audit
INSERT INTO ledger.audit ({columns_but_id})
SELECT {columns_but_id} FROM copied_audit ORDER BY audit_id;

-- name: note_copies :: who asks later why a file has rows that no load of this ledger brought finds it here
INSERT INTO ledger.audit (action, file_id, reason, by_whom, details)
SELECT
    'copy',
    file_id,
    'its bytes were gone when a backup was restored',
    'copy-sealed',
    jsonb_build_object(
        'rows_loaded', files.rows_loaded, 'rows_rejected', files.rows_rejected, 'rows_duplicate', files.rows_duplicate
    )
FROM copied_files
JOIN ledger.files USING (file_id)
WHERE files.state = 'loaded'
ORDER BY file_id;

-- name: days :: the days (UTC) of the copied events, in days since 1970-01-01, in order
SELECT DISTINCT (event_time AT TIME ZONE 'UTC')::date - date '1970-01-01' AS day FROM copied_events ORDER BY day;

-- name: put_events :: an id that is there already in the month keeps the row that it has
INSERT INTO public.events ({columns})
SELECT {columns}
FROM copied_events
ORDER BY event_id, file_id, record_number
ON CONFLICT DO NOTHING;

-- name: forget_receipts :: of files that lost a row to one that is there already: they are made anew
UPDATE ledger.files
SET receipt = NULL, receipt_version = NULL, receipt_at = NULL
WHERE file_id IN (
    SELECT copied.file_id
    FROM copied_events AS copied
    LEFT JOIN public.events AS present USING (event_id, event_time, file_id, record_number)
    WHERE present.event_id IS NULL
);

-- name: note_duplicates :: equal content under an id that another row has
INSERT INTO ledger.duplicates (file_id, record_number, event_id, event_time)
SELECT copied.file_id, copied.record_number, copied.event_id, present.event_time
FROM copied_events AS copied
JOIN ledger.months() AS months ON months.begins <= copied.event_time AND copied.event_time < months.ends
JOIN public.events AS present ON present.event_id = copied.event_id
    AND present.event_time >= months.begins
    AND present.event_time < months.ends
WHERE (present.file_id, present.record_number) <> (copied.file_id, copied.record_number)
    AND {same_content};

-- name: make_copied_duplicates :: nothing; a staging table like ledger.duplicates
CREATE TEMPORARY TABLE copied_duplicates (LIKE ledger.duplicates INCLUDING DEFAULTS) ON COMMIT DROP;

-- name: copy_expired_duplicates :: in the replaced database: their duplicates of rows that have expired, for COPY
COPY (
    SELECT {columns}
    FROM ledger.duplicates AS duplicate
    WHERE file_id = ANY(%(file_ids)s)
        AND NOT EXISTS (
            SELECT FROM public.events AS present
            WHERE present.event_id = duplicate.event_id AND present.event_time = duplicate.event_time
        )
) TO STDOUT (FORMAT binary);

-- name: put_duplicates :: nothing; they are noted here as well
INSERT INTO ledger.duplicates ({columns})
SELECT {columns} FROM copied_duplicates;

-- name: settle_rejects :: rejects that a replay had brought to events say what their rows are now
UPDATE ledger.rejects AS reject
SET state = CASE WHEN duplicate.file_id IS NULL THEN 'replayed' ELSE 'duplicate' END
FROM copied_rejects AS copied
LEFT JOIN ledger.duplicates AS duplicate USING (file_id, record_number)
WHERE reject.file_id = copied.file_id
    AND reject.record_number = copied.record_number
    AND reject.state IN ('replayed', 'duplicate');

-- name: put_conflicts :: other content under an id that is there: to quarantine; raw is the row, for the bytes are gone
INSERT INTO ledger.rejects (
    file_id, record_number, line_number, raw, fields, rules, error_class, contract, contract_version
)
SELECT
    copied.file_id,
    copied.record_number,
    0,
    convert_to(jsonb_strip_nulls(to_jsonb(copied))::text, 'UTF8'),
    jsonb_strip_nulls(to_jsonb(copied)) - ARRAY['file_id', 'record_number'],
    ARRAY['event_id.conflict'],
    'conflict',
    files.contract,
    files.contract_version
FROM copied_events AS copied
JOIN ledger.files USING (file_id)
WHERE NOT EXISTS (
        SELECT FROM public.events AS present
        WHERE present.event_id = copied.event_id
            AND present.event_time = copied.event_time
            AND (present.file_id, present.record_number) = (copied.file_id, copied.record_number)
    )
    AND NOT EXISTS (
        SELECT FROM ledger.duplicates AS duplicate
        WHERE (duplicate.file_id, duplicate.record_number) = (copied.file_id, copied.record_number)
    )
ON CONFLICT (file_id, record_number) DO UPDATE
SET state = 'quarantined', rules = EXCLUDED.rules, error_class = EXCLUDED.error_class;

-- name: widen :: nothing; the moments of the copied files are those of the rows that they have here, too
-- What repeats a row of a feed that is timed by arrival has that row's moment, perhaps of another month.
UPDATE ledger.files
SET first_event_time = least(files.first_event_time, came.first),
    last_event_time = greatest(files.last_event_time, came.last)
FROM (SELECT file_id, min(event_time) AS first, max(event_time) AS last FROM copied_events GROUP BY file_id) AS came
WHERE files.file_id = came.file_id AND num_nulls(files.first_event_time, files.last_event_time) = 0;

-- name: tally :: what the copied files have in the tables now
WITH counted AS (
    SELECT
        copied.file_id,
        (SELECT count(*) FROM ledger.rows_of(copied.file_id)) AS loaded,
        (
            SELECT count(*) FROM ledger.rejects
            WHERE rejects.file_id = copied.file_id AND rejects.state = 'quarantined'
        ) AS rejected,
        (SELECT count(*) FROM ledger.duplicates WHERE duplicates.file_id = copied.file_id) AS duplicates
    FROM copied_files AS copied
    WHERE copied.state = 'loaded'
), receipts AS (
    -- A receipt that came with other rows than the file has here now is made anew.
    SELECT copied.file_id, CASE WHEN copied.receipt = ledger.digest(copied.file_id) THEN copied.receipt END AS receipt
    FROM copied_files AS copied
    WHERE copied.state = 'loaded'
), told AS (
    UPDATE ledger.files
    SET rows_loaded = counted.loaded + files.rows_expired,
        rows_rejected = counted.rejected,
        rows_duplicate = counted.duplicates,
        receipt = receipts.receipt,
        receipt_version = CASE WHEN receipts.receipt IS NOT NULL THEN files.receipt_version END,
        receipt_at = CASE WHEN receipts.receipt IS NOT NULL THEN files.receipt_at END
    FROM counted
    JOIN receipts USING (file_id)
    WHERE files.file_id = counted.file_id
)
SELECT
    count(*) AS files,
    coalesce(sum(loaded), 0)::bigint AS loaded,
    coalesce(sum(rejected), 0)::bigint AS rejected,
    coalesce(sum(duplicates), 0)::bigint AS duplicates
FROM counted;

-- name: duplicates_there :: in the replaced database: whole files that repeat one of these bytes
SELECT file_id, path
FROM ledger.files
WHERE state = 'duplicate' AND sha256 = ANY(%(sha256)s);

-- name: known_ids :: which of these the ledger has
SELECT file_id FROM ledger.files WHERE file_id = ANY(%(file_ids)s);

-- name: replaced_there :: in the replaced database: files that a revision has replaced, of these names
SELECT file_id, sha256, name, contract
FROM ledger.files
WHERE state = 'replaced' AND name = ANY(%(names)s);

-- name: loaded_here :: those of these files that are loaded
SELECT file_id, sha256
FROM ledger.files
WHERE file_id = ANY(%(file_ids)s) AND state = 'loaded'
ORDER BY file_id;
