-- The events under a figure of room Shop, and one event by its place in its file. Texts are cut: a field may have 16 MB.

-- name: bounds :: one row: where a day of that zone begins and ends
SELECT
    %(day)s::date::timestamp AT TIME ZONE %(zone)s AS begins,
    (%(day)s::date + 1)::timestamp AT TIME ZONE %(zone)s AS ends;

-- name: page :: the newest events of a stretch of time, before the last one that was shown
-- The stretch is within a month's partition or two, and found in them by the index of blocks by time. Only what is shown is
-- read whole; one look for each file, for a join would read all files when there are many.
WITH found AS MATERIALIZED (
    SELECT event_id, event_time, file_id, CASE WHEN %(of_sales)s THEN extra ->> 'currency' END AS own_currency
    FROM public.events
    WHERE event_time >= %(begins)s AND event_time < %(ends)s
        AND (%(types)s::text[] IS NULL OR event_type = ANY (%(types)s::text[]))
        AND (%(product)s::text IS NULL OR product_id = %(product)s)
        AND (%(term)s::text IS NULL OR lower(btrim(search_query)) = %(term)s)
        AND (NOT %(in_vain)s OR search_results_count = 0)
        AND (%(until)s::timestamptz IS NULL OR (event_time, event_id) < (%(until)s, %(until_id)s::uuid))
), of_files AS MATERIALIZED (
    SELECT file_id, feed, coalesce(counts_sales, true) AS counts_sales, coalesce(feeds.currency, '') AS feeds_currency
    FROM (SELECT DISTINCT file_id FROM found) AS named
    CROSS JOIN LATERAL (
        SELECT coalesce((SELECT contract FROM ledger.files WHERE files.file_id = named.file_id), 'unknown') AS feed
    ) AS of_file
    LEFT JOIN report.feeds USING (feed)
    WHERE feed = ANY (%(feeds)s::text[])
), shown AS (
    SELECT event_id, event_time, feed, counts_sales, feeds_currency
    FROM found
    JOIN of_files USING (file_id)
    WHERE NOT %(of_sales)s OR (
        counts_sales
        AND CASE WHEN own_currency ~ '^[A-Za-z]{3}$' THEN upper(own_currency) ELSE feeds_currency END = %(currency)s
    )
    ORDER BY event_time DESC, event_id DESC
    LIMIT %(most)s
)
SELECT
    events.event_id,
    events.event_time,
    feed,
    event_type,
    left(user_id, 100) AS user_id,
    left(session_id, 100) AS session_id,
    left(product_id, 200) AS product_id,
    left(category, 200) AS category,
    left(search_query, 200) AS search_query,
    search_results_count,
    quantity,
    price,
    CASE WHEN counts_sales AND event_type IN ('purchase', 'cancellation') THEN
        coalesce(
            nullif(total_amount, 'NaN'),
            nullif(price, 'NaN') * coalesce(quantity, CASE event_type WHEN 'purchase' THEN 1 ELSE -1 END),
            0
        )
    END AS amount,
    CASE
        WHEN extra ->> 'currency' ~ '^[A-Za-z]{3}$' THEN upper(extra ->> 'currency')
        ELSE feeds_currency
    END AS currency,
    file_id,
    record_number
FROM shown
CROSS JOIN LATERAL (
    SELECT * FROM public.events WHERE events.event_id = shown.event_id AND events.event_time = shown.event_time
) AS events
ORDER BY events.event_time DESC, events.event_id DESC;

-- name: file :: one row: the file of this number, and how it was read; none when there is no such file
SELECT
    file_id, name, path, sha256, bytes, state, contract, contract_version, loaded_at, sealed_at, header, marked_encoding,
    read_as
FROM ledger.files
WHERE file_id = %(file_id)s;

-- name: event :: one row: the event of this record of the file; none when the record is no event
SELECT
    event_id,
    CASE WHEN event_time BETWEEN '0001-01-02Z' AND '9999-12-30Z' THEN event_time END AS event_time,
    (event_time AT TIME ZONE 'UTC')::text AS event_time_in_utc,
    event_type,
    left(user_id, 1000) AS user_id,
    left(product_id, 1000) AS product_id,
    left(category, 1000) AS category,
    price,
    left(session_id, 1000) AS session_id,
    left(ip_address, 1000) AS ip_address,
    left(user_agent, 1000) AS user_agent,
    left(search_query, 1000) AS search_query,
    search_results_count,
    quantity,
    total_amount,
    left(payment_method, 1000) AS payment_method,
    left(extra::text, 10000) AS extra
FROM public.events
WHERE file_id = %(file_id)s AND record_number = %(record_number)s
    AND event_time >= (SELECT ledger.since(first_event_time) FROM ledger.files WHERE file_id = %(file_id)s)
    AND event_time <= (SELECT ledger.until(last_event_time) FROM ledger.files WHERE file_id = %(file_id)s)
LIMIT 1;

-- name: elsewhere :: one row: whether the record was set aside, or is a duplicate
SELECT
    EXISTS (SELECT FROM ledger.rejects WHERE file_id = %(file_id)s AND record_number = %(record_number)s) AS is_reject,
    EXISTS (SELECT FROM ledger.duplicates WHERE file_id = %(file_id)s AND record_number = %(record_number)s) AS is_duplicate;
