-- Judging the quarantine again, a transaction a file. Parameters are numbered, as the loader's driver wants them.

-- name: files :: loaded files that have quarantined rejects; an empty text and a 0 mean: any
SELECT file_id
FROM ledger.files
WHERE state = 'loaded'
    AND file_id IN (
        SELECT file_id
        FROM ledger.rejects
        WHERE state = 'quarantined'
            AND ($1::text = '' OR contract = $1::text)
            AND ($2::text = '' OR $2::text = ANY (rules))
            AND ($3::bigint = 0 OR file_id = $3::bigint)
    )
ORDER BY file_id;

-- name: lock_file :: one row while the file is loaded
SELECT
    name, sha256, contract, header::text AS header, marked_encoding,
    (extract(epoch FROM coalesce(rows_landed_at, landed_at)) * 1000000)::bigint AS landed_at,
    (SELECT (extract(epoch FROM max(expired_before)) * 1000000)::bigint FROM ledger.retentions) AS expired_before
FROM ledger.files
WHERE file_id = $1 AND state = 'loaded'
FOR UPDATE;

-- name: make_read :: which version of each reject was read
CREATE TEMPORARY TABLE IF NOT EXISTS replay_read (
    record_number bigint NOT NULL,
    version text NOT NULL
) ON COMMIT DELETE ROWS;

-- name: make_outcomes :: nothing; a table for what becomes of each reject
CREATE TEMPORARY TABLE IF NOT EXISTS replay_outcomes (
    record_number bigint NOT NULL,
    rules text[] NOT NULL,
    error_class text NOT NULL
) ON COMMIT DELETE ROWS;

-- name: rejects :: the next of a file's quarantined rejects, after record $2, as many as make 16 MiB; $4: only these
SELECT record_number, line_number, raw, fields, rules, error_class, edited, version
FROM (
    SELECT
        record_number,
        line_number,
        raw,
        fields::text AS fields,
        rules,
        error_class,
        edited_at IS NOT NULL AS edited,
        version,
        row_number() OVER in_order AS place,
        sum(octet_length(raw)) OVER in_order AS bytes_so_far
    FROM (
        SELECT *, xmin::text AS version
        FROM ledger.rejects
        WHERE file_id = $1
            AND record_number > $2
            AND state = 'quarantined'
            AND ($3::text = '' OR $3::text = ANY (rules))
            AND (cardinality($4::bigint[]) = 0 OR record_number = ANY ($4::bigint[]))
        ORDER BY record_number
        LIMIT 5000
    ) AS page
    WINDOW in_order AS (ORDER BY record_number)
) AS counted
WHERE place = 1 OR bytes_so_far <= 16777216
ORDER BY record_number;

-- name: lock_read :: nobody edits what was read until the transaction ends; how many those are
SELECT count(*)
FROM (
    SELECT
    FROM ledger.rejects AS reject
    JOIN replay_read USING (record_number)
    WHERE reject.file_id = $1
    ORDER BY record_number
    FOR NO KEY UPDATE OF reject
) AS locked;

-- name: leave_edited :: how many were edited since they were read: nothing is decided about them
WITH edited AS (
    SELECT record_number
    FROM replay_read
    WHERE NOT EXISTS (
        SELECT FROM ledger.rejects AS reject
        WHERE reject.file_id = $1
            AND reject.record_number = replay_read.record_number
            AND reject.xmin::text = replay_read.version
    )
), not_loaded AS (
    DELETE FROM staged_events AS staged USING edited WHERE staged.record_number = edited.record_number
), not_kept AS (
    DELETE FROM replay_outcomes AS kept USING edited WHERE kept.record_number = edited.record_number
)
SELECT count(*) FROM edited;

-- name: find_elsewhere :: how many staged rows of other months have their event_id in the month from $1 and before $2
INSERT INTO repeated_events
SELECT staged.*, $1::timestamptz, $2::timestamptz
FROM staged_events AS staged
CROSS JOIN LATERAL (
    SELECT
    FROM public.events
    WHERE event_id = staged.event_id AND event_time >= $1::timestamptz AND event_time < $2::timestamptz
    OFFSET 0
) AS present
WHERE (staged.event_time < $1::timestamptz OR staged.event_time >= $2::timestamptz)
    AND NOT EXISTS (SELECT FROM repeated_events AS noted WHERE noted.record_number = staged.record_number);

-- name: insert_staged :: nothing; the staged rows whose event_id was in no month are in events
INSERT INTO public.events
SELECT *
FROM staged_events AS staged
WHERE NOT EXISTS (SELECT FROM repeated_events AS noted WHERE noted.record_number = staged.record_number)
ORDER BY event_id, record_number
ON CONFLICT DO NOTHING;

-- name: keep_conflicts :: rows whose event_id is in events with other content stay
INSERT INTO replay_outcomes (record_number, rules, error_class)
SELECT staged.record_number, ARRAY['event_id.conflict'], 'conflict'
FROM repeated_events AS staged
WHERE NOT EXISTS (
    SELECT FROM ledger.duplicates AS duplicate
    WHERE duplicate.file_id = staged.file_id AND duplicate.record_number = staged.record_number
);

-- name: settle :: how many rejects are in events now, and how many were there already
WITH settled AS (
    UPDATE ledger.rejects AS reject
    SET state = CASE WHEN duplicate.file_id IS NULL THEN 'replayed' ELSE 'duplicate' END,
        replayed_at = clock_timestamp(),
        contract_version = $2
    FROM staged_events AS staged
    LEFT JOIN ledger.duplicates AS duplicate USING (file_id, record_number)
    WHERE reject.file_id = $1
        AND reject.record_number = staged.record_number
        AND reject.state = 'quarantined'
        AND NOT EXISTS (
            SELECT FROM replay_outcomes AS kept WHERE kept.record_number = staged.record_number
        )
    RETURNING reject.state
), counted AS (
    SELECT
        count(*) FILTER (WHERE state = 'replayed') AS replayed,
        count(*) FILTER (WHERE state = 'duplicate') AS duplicates
    FROM settled
), tally AS (
    UPDATE ledger.files
    SET rows_loaded = rows_loaded + counted.replayed,
        rows_duplicate = rows_duplicate + counted.duplicates,
        rows_rejected = rows_rejected - counted.replayed - counted.duplicates,
        first_event_time = CASE WHEN first_event_time IS NOT NULL THEN least(first_event_time, $3) END,
        last_event_time = CASE WHEN last_event_time IS NOT NULL THEN greatest(last_event_time, $4) END,
        merged_at = NULL
    FROM counted
    WHERE files.file_id = $1 AND counted.replayed + counted.duplicates > 0
)
SELECT replayed, duplicates FROM counted;

-- name: say_why :: those that stay say what today's contract has against them; how many there are
WITH said AS (
    UPDATE ledger.rejects AS reject
    SET rules = kept.rules,
        error_class = kept.error_class,
        contract_version = $2
    FROM replay_outcomes AS kept
    WHERE reject.file_id = $1
        AND reject.record_number = kept.record_number
        AND (reject.rules, reject.error_class, reject.contract_version)
            IS DISTINCT FROM (kept.rules, kept.error_class, $2::text)
)
SELECT count(*) FROM replay_outcomes;

-- name: kept_by_rule :: a row a rule
SELECT rule, count(*)
FROM replay_outcomes
CROSS JOIN unnest(rules) AS rule
GROUP BY rule
ORDER BY rule;
