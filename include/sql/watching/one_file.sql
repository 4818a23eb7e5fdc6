-- One file: what the ledger knows of it, and what it brought.

-- name: row :: the file; moments of events, which may be infinite, as text
SELECT
    file_id, name, path, sha256, bytes, contract, contract_version, state, waits_for IS NOT NULL AS waits_for_contract,
    rows_read, rows_loaded, rows_rejected, rows_duplicate, rows_warned, rows_expired, landed_at, rows_landed_at,
    landed_again_at, moved_at, claim, claimed_at, loaded_at, rejected_at, receipt, receipt_version, receipt_at, merged_at, sealed_at, epoch, host,
    lane, duplicate_of, left(error, 4000) AS error, rejected_for, header, marked_encoding, read_as, drift, filled,
    to_json(first_event_time) #>> '{}' AS first_event_time, to_json(last_event_time) #>> '{}' AS last_event_time
FROM ledger.files
WHERE file_id = %(file_id)s;

-- name: stream :: the stream that loaded it
SELECT epoch, run_id, state, started_at, ended_at FROM ledger.streams WHERE epoch = %(epoch)s;

-- name: batch :: the micro-batch that ended next in its lane after it was loaded: a lane has one at a time
-- Within a day: of a file that is older than what is kept of micro-batches, not all that came since are read.
SELECT batch, committed_at, files, duration_ms
FROM ledger.batches
WHERE epoch = %(epoch)s
    AND lane = %(lane)s
    AND committed_at >= %(loaded_at)s
    AND committed_at < %(loaded_at)s + interval '1 day'
ORDER BY committed_at
LIMIT 1;

-- name: same_name :: other files of its name, the newest first
SELECT file_id, state, landed_at, rows_loaded, bytes, sha256 = %(sha256)s AS has_same_bytes
FROM ledger.files
WHERE name = %(name)s AND file_id <> %(file_id)s
ORDER BY file_id DESC
LIMIT %(most)s;

-- name: same_bytes :: files of its bytes that are landed or loaded, or their duplicates
-- The conditions of the two indexes by sha256.
(
    SELECT file_id, name, state, landed_at
    FROM ledger.files
    WHERE sha256 = %(sha256)s AND state IN ('landed', 'loaded') AND file_id <> %(file_id)s
)
UNION ALL
(
    SELECT file_id, name, state, landed_at
    FROM ledger.files
    WHERE sha256 = %(sha256)s AND state = 'duplicate' AND file_id <> %(file_id)s
    LIMIT %(most)s
);

-- name: replaced :: files that it has replaced
SELECT file_id, at
FROM ledger.audit
WHERE action = 'replace' AND (details ->> 'replaced_by')::bigint = %(file_id)s
ORDER BY file_id DESC
LIMIT %(most)s;

-- name: audit :: what people and the pipeline did to it, the newest first
SELECT at, action, left(reason, 1000) AS reason, by_whom, left(details::text, 1000) AS details
FROM ledger.audit
WHERE file_id = %(file_id)s
ORDER BY audit_id DESC
LIMIT %(most)s;

-- name: rejects :: a row a rule and state, of its first rejects, at most %(look)s; all is how many these are
SELECT rule, state, count(*) AS rejects, min(all_of_them) AS all
FROM (
    SELECT unnest(rules) AS rule, state, all_of_them
    FROM (
        SELECT rules, state, count(*) OVER () AS all_of_them
        FROM (
            SELECT rules, state FROM ledger.rejects WHERE file_id = %(file_id)s ORDER BY record_number LIMIT %(look)s
        ) AS first
    ) AS counted
) AS broken
GROUP BY rule, state
ORDER BY rejects DESC, rule, state;

-- name: first_reject :: the first of its records that is set aside; the beginning of its bytes
SELECT
    record_number, line_number, rules, error_class, state, substring(raw FROM 1 FOR 2000) AS raw,
    octet_length(raw) AS raw_bytes
FROM ledger.rejects
WHERE file_id = %(file_id)s
ORDER BY record_number
LIMIT 1;

-- name: months :: one row: the moments between which its rows lie, as text, for they may be infinite
SELECT ledger.since(first_event_time)::text AS since, ledger.until(last_event_time)::text AS until
FROM ledger.files
WHERE file_id = %(file_id)s;

-- name: rows :: the first of its rows; of a file with more than %(look)s rows the first of those
-- A large file's rows lie in the order of its records: they need not all be put in order.
SELECT
    record_number, event_id, event_type, to_json(event_time) #>> '{}' AS event_time, user_id, product_id, category, price, session_id, ip_address,
    user_agent, search_query, search_results_count, quantity, total_amount, payment_method, extra
FROM (
    SELECT *
    FROM public.events
    WHERE file_id = %(file_id)s AND event_time >= %(since)s::timestamptz AND event_time <= %(until)s::timestamptz
    LIMIT %(look)s
) AS of_file
ORDER BY record_number
LIMIT %(most)s;
