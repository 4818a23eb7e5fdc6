-- What room Quarantine asks. NULL: any. `since` bounds when a row was set aside.

-- The counts are of the %(most)s newest rejects that fit, each in one pass; the rule is looked at after that bound, so that one
-- which is rare does not make it longer. How many files break each rule is not counted: that takes five times as long.

-- name: have_memory :: nothing of use; what is grouped fits into so much, for the rest of the transaction
SELECT set_config('work_mem', '32MB', true);

-- name: by_rule :: a row a contract and rule, the most rows first; a reject that breaks two rules is in both
WITH newest AS (
    SELECT contract, rules, file_id, rejected_at
    FROM ledger.rejects
    WHERE state = 'quarantined'
        AND (%(since)s::timestamptz IS NULL OR rejected_at >= %(since)s::timestamptz)
        AND (%(contract)s::text IS NULL OR contract = %(contract)s::text)
        AND (%(file_id)s::bigint IS NULL OR file_id = %(file_id)s::bigint)
    ORDER BY rejected_at DESC
    LIMIT %(most)s + 1
), alike AS (
    SELECT contract, rules, count(*) AS rows, max(rejected_at) AS newest
    FROM newest
    GROUP BY contract, rules
)
SELECT contract, rule, sum(rows)::bigint AS rows, max(newest) AS newest
FROM alike
CROSS JOIN unnest(rules) AS rule
WHERE %(rule)s::text IS NULL OR rule = %(rule)s::text
GROUP BY contract, rule
ORDER BY rows DESC, contract, rule
LIMIT 200;

-- name: by_time :: a row a stretch in which some were set aside, the oldest first; unit is its length; seen counts any rule
WITH newest AS (
    SELECT contract, rules, file_id, rejected_at
    FROM ledger.rejects
    WHERE state = 'quarantined'
        AND (%(since)s::timestamptz IS NULL OR rejected_at >= %(since)s::timestamptz)
        AND (%(contract)s::text IS NULL OR contract = %(contract)s::text)
        AND (%(file_id)s::bigint IS NULL OR file_id = %(file_id)s::bigint)
    ORDER BY rejected_at DESC
    LIMIT %(most)s + 1
), quarters AS MATERIALIZED (
    SELECT
        date_bin('15 minutes', rejected_at, timestamptz '2000-01-01Z') AS quarter,
        count(*) AS seen,
        count(*) FILTER (WHERE %(rule)s::text IS NULL OR %(rule)s::text = ANY (rules)) AS rows
    FROM newest
    GROUP BY quarter
), span AS (
    SELECT now() - coalesce(%(since)s::timestamptz, min(quarter) FILTER (WHERE rows > 0)) AS age FROM quarters
), scale AS (
    SELECT CASE WHEN age > interval '150 days' THEN 'month' WHEN age > interval '3 days' THEN 'day' ELSE 'hour' END AS unit
    FROM span
)
SELECT unit, date_trunc(unit, quarter, %(zone)s) AS begins, sum(rows)::bigint AS rows, sum(seen)::bigint AS seen
FROM quarters
CROSS JOIN scale
GROUP BY unit, begins
ORDER BY begins;

-- name: by_file :: the files with the most; of_files is how many files there are
WITH newest AS (
    SELECT contract, rules, file_id, rejected_at
    FROM ledger.rejects
    WHERE state = 'quarantined'
        AND (%(since)s::timestamptz IS NULL OR rejected_at >= %(since)s::timestamptz)
        AND (%(contract)s::text IS NULL OR contract = %(contract)s::text)
        AND (%(file_id)s::bigint IS NULL OR file_id = %(file_id)s::bigint)
    ORDER BY rejected_at DESC
    LIMIT %(most)s + 1
), worst AS (
    SELECT file_id, count(*) AS rows, count(*) OVER () AS of_files
    FROM newest
    WHERE %(rule)s::text IS NULL OR %(rule)s::text = ANY (rules)
    GROUP BY file_id
    ORDER BY rows DESC, file_id DESC
    LIMIT 10
)
SELECT file_id, files.name, files.state, files.rows_read, files.rows_rejected, worst.rows, of_files
FROM worst
JOIN ledger.files USING (file_id)
ORDER BY worst.rows DESC, file_id DESC;

-- name: page :: the next rejects that fit, the newest files first and their last records first; of raw bytes the beginning
-- Fields that a long record has are not read here.
SELECT
    file_id,
    record_number,
    line_number,
    files.name,
    substring(rejects.raw FROM 1 FOR %(bytes)s) AS raw,
    octet_length(rejects.raw) AS bytes,
    CASE WHEN octet_length(rejects.raw) <= %(bytes)s THEN rejects.fields END AS fields,
    rejects.rules,
    rejects.error_class,
    rejects.contract,
    rejects.contract_version,
    rejects.rejected_at,
    rejects.edited_at,
    rejects.state,
    files.header,
    files.marked_encoding,
    files.read_as
FROM (
    SELECT *
    FROM ledger.rejects
    WHERE state = 'quarantined'
        AND (file_id, record_number) < (%(before_file)s::bigint, %(before_record)s::bigint)
        AND (%(since)s::timestamptz IS NULL OR rejected_at >= %(since)s::timestamptz)
        AND (%(contract)s::text IS NULL OR contract = %(contract)s::text)
        AND (%(rule)s::text IS NULL OR %(rule)s::text = ANY (rules))
        AND (%(file_id)s::bigint IS NULL OR file_id = %(file_id)s::bigint)
    ORDER BY file_id DESC, record_number DESC
    LIMIT %(most)s
) AS rejects
JOIN ledger.files USING (file_id)
ORDER BY file_id DESC, record_number DESC;

-- name: one :: the reject, whatever its state, or nothing
SELECT
    file_id,
    record_number,
    line_number,
    files.name,
    substring(rejects.raw FROM 1 FOR %(bytes)s) AS raw,
    octet_length(rejects.raw) AS bytes,
    CASE WHEN octet_length(rejects.fields::text) <= %(bytes)s THEN rejects.fields END AS fields,
    rejects.rules,
    rejects.error_class,
    rejects.contract,
    rejects.contract_version,
    rejects.rejected_at,
    rejects.edited_at,
    rejects.state,
    files.header,
    files.marked_encoding,
    files.read_as
FROM ledger.rejects
JOIN ledger.files USING (file_id)
WHERE file_id = %(file_id)s AND record_number = %(record_number)s;

-- name: how_many :: one row: how many fit, of which no more than %(most)s + 1 are counted
SELECT count(*) AS rows
FROM (
    SELECT
    FROM ledger.rejects
    WHERE state = 'quarantined'
        AND (%(since)s::timestamptz IS NULL OR rejected_at >= %(since)s::timestamptz)
        AND (%(contract)s::text IS NULL OR contract = %(contract)s::text)
        AND (%(rule)s::text IS NULL OR %(rule)s::text = ANY (rules))
        AND (%(file_id)s::bigint IS NULL OR file_id = %(file_id)s::bigint)
    LIMIT %(most)s + 1
) AS fitting;
