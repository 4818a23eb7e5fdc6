-- What room Quarantine asks. NULL: any. `since` bounds when a row was set aside.

-- name: counts :: one row: the quarantine by rule, by time and by file, each as a list; of the %(most)s newest rejects that fit
-- One pass over at most so many: rejects that agree in all that is asked of them are counted together first. A reject that
-- breaks two rules is in both, but once in the other two.
WITH newest AS (
    SELECT contract, rules, file_id, rejected_at
    FROM ledger.rejects
    WHERE state = 'quarantined'
        AND (%(since)s::timestamptz IS NULL OR rejected_at >= %(since)s::timestamptz)
        AND (%(contract)s::text IS NULL OR contract = %(contract)s::text)
        AND (%(file_id)s::bigint IS NULL OR file_id = %(file_id)s::bigint)
    ORDER BY rejected_at DESC
    LIMIT %(most)s + 1
), alike AS MATERIALIZED (
    SELECT
        contract,
        rules,
        file_id,
        date_bin('15 minutes', rejected_at, timestamptz '2000-01-01Z') AS quarter,
        count(*) AS rows,
        max(rejected_at) AS newest
    FROM newest
    GROUP BY contract, rules, file_id, quarter
), fitting AS MATERIALIZED (
    SELECT * FROM alike WHERE %(rule)s::text IS NULL OR %(rule)s::text = ANY (rules)
), span AS (
    SELECT now() - coalesce(%(since)s::timestamptz, min(quarter)) AS age FROM fitting
), scale AS (
    SELECT CASE WHEN age > interval '150 days' THEN 'month' WHEN age > interval '3 days' THEN 'day' ELSE 'hour' END AS unit
    FROM span
), by_rule AS (
    SELECT contract, rule, sum(rows)::bigint AS rows, count(DISTINCT file_id) AS files, max(newest) AS newest
    FROM fitting
    CROSS JOIN unnest(rules) AS rule
    WHERE %(rule)s::text IS NULL OR rule = %(rule)s::text
    GROUP BY contract, rule
    ORDER BY rows DESC, contract, rule
    LIMIT 200
), by_time AS (
    SELECT date_trunc((SELECT unit FROM scale), quarter, %(zone)s) AS begins, sum(rows)::bigint AS rows
    FROM fitting
    GROUP BY begins
    ORDER BY begins DESC
    LIMIT 400
), worst AS (
    SELECT file_id, sum(rows)::bigint AS rows FROM fitting GROUP BY file_id ORDER BY rows DESC, file_id DESC LIMIT 10
), by_file AS (
    SELECT
        worst.file_id, files.name, files.state, coalesce(files.contract, '') AS contract, files.rows_read,
        files.rows_rejected, worst.rows
    FROM worst
    JOIN ledger.files USING (file_id)
    ORDER BY worst.rows DESC, worst.file_id DESC
)
SELECT
    (SELECT coalesce(sum(rows), 0)::bigint FROM fitting) AS rows,
    (SELECT count(DISTINCT file_id) FROM fitting) AS files,
    (SELECT coalesce(sum(rows), 0) FROM alike) > %(most)s AS is_capped,
    (SELECT unit FROM scale) AS unit,
    (SELECT coalesce(jsonb_agg(by_rule), '[]') FROM by_rule) AS by_rule,
    (SELECT coalesce(jsonb_agg(by_time ORDER BY begins), '[]') FROM by_time) AS by_time,
    (SELECT coalesce(jsonb_agg(by_file), '[]') FROM by_file) AS by_file;

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
