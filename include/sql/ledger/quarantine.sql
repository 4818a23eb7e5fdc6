-- What `make rejects` shows. NULL: any.

-- name: by_rule :: a row a contract and rule, the most rows first; a reject that breaks two rules is in both
-- Of a reject only what its index holds is read, and a file is counted once a rule by grouping, not by sorting. The rules are
-- taken apart in the list: a join with each array takes half as long again.
SELECT contract, rule, sum(rows)::bigint AS rows, count(*) AS files, max(newest) AT TIME ZONE 'UTC' AS newest
FROM (
    SELECT contract, rule, file_id, count(*) AS rows, max(rejected_at) AS newest
    FROM (
        SELECT contract, unnest(rules) AS rule, file_id, rejected_at
        FROM ledger.rejects
        WHERE state = 'quarantined'
            AND (%(contract)s::text IS NULL OR contract = %(contract)s::text)
            AND (%(file_id)s::bigint IS NULL OR file_id = %(file_id)s::bigint)
    ) AS broken
    WHERE %(rule)s::text IS NULL OR rule = %(rule)s::text
    GROUP BY contract, rule, file_id
) AS by_file
GROUP BY contract, rule
ORDER BY rows DESC, contract, rule;

-- name: examples :: up to three rejects of each of these pairs, from the newest files; the beginning of their raw bytes
-- Backwards through the index, one pair after the other, until three are found.
WITH broken AS (
    SELECT asked.contract, asked.rule, found.file_id, found.record_number, found.place
    FROM unnest(%(contracts)s::text[], %(rules)s::text[]) AS asked (contract, rule)
    CROSS JOIN LATERAL (
        SELECT file_id, record_number, row_number() OVER (ORDER BY file_id DESC, record_number) AS place
        FROM (
            SELECT file_id, record_number
            FROM ledger.rejects
            WHERE state = 'quarantined'
                AND contract = asked.contract
                AND asked.rule = ANY (rules)
                AND (%(file_id)s::bigint IS NULL OR file_id = %(file_id)s::bigint)
            ORDER BY file_id DESC, record_number
            LIMIT 3
        ) AS newest
    ) AS found
)
SELECT
    broken.contract,
    broken.rule,
    file_id,
    record_number,
    files.name,
    rejects.line_number,
    substring(rejects.raw FROM 1 FOR 400) AS raw,
    octet_length(rejects.raw) AS bytes,
    rejects.edited_at IS NOT NULL AS edited,
    rejects.rules,
    ARRAY(SELECT jsonb_object_keys(rejects.fields)) AS field_names,
    files.header
FROM broken
JOIN ledger.rejects USING (file_id, record_number)
JOIN ledger.files USING (file_id)
ORDER BY broken.contract, broken.rule, broken.place;

-- name: edit :: not run: an example for people, on one line
UPDATE ledger.rejects SET fields = fields || {fields} WHERE file_id = {file_id} AND record_number = {record_number};

-- name: edit_all :: the same for a record that had not the header's fields
UPDATE ledger.rejects SET fields = {fields} WHERE file_id = {file_id} AND record_number = {record_number};
