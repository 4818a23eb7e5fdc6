-- What somebody outside has not been told yet (ledger.untold), by the name of who tells it.

-- name: ask :: nothing; from now on news of these kinds are noted for the teller
INSERT INTO ledger.tellers (teller, wants) VALUES (%(teller)s, %(wants)s)
ON CONFLICT (teller) DO UPDATE SET wants = excluded.wants, seen_at = clock_timestamp();

-- name: untold :: the oldest news, at most so many
SELECT untold_id, news_id::text AS news_id, news, at, file_id, details
FROM ledger.untold
WHERE teller = %(teller)s AND untold_id > %(after)s
ORDER BY untold_id
LIMIT %(most)s;

-- name: told :: nothing; these news are told
DELETE FROM ledger.untold WHERE teller = %(teller)s AND untold_id = ANY(%(untold_ids)s);

-- name: forget_tellers :: those that have not been seen since the cutoff
DELETE FROM ledger.tellers WHERE seen_at < %(cutoff)s RETURNING teller;

-- name: forget_untold :: nothing; news from before the cutoff are gone, and those of nobody
DELETE FROM ledger.untold
WHERE at < %(cutoff)s OR NOT EXISTS (SELECT FROM ledger.tellers WHERE tellers.teller = untold.teller);

-- name: hold :: whether this session alone tells for the teller from now on, until it ends
SELECT pg_try_advisory_lock(7216, hashtext(%(teller)s)) AS alone;

-- name: files :: these files, with what is known of them, and when and by which run their stream was submitted
SELECT
    files.file_id, name, sha256, bytes, contract, contract_version, files.state, rows_warned, landed_at, moved_at, header,
    files.error, files.epoch, files.lane, first_event_time, last_event_time,
    streams.run_id, streams.ended_at IS NOT NULL AS stream_has_ended
FROM ledger.files AS files
LEFT JOIN ledger.streams AS streams ON streams.epoch = files.epoch
WHERE file_id = ANY(%(file_ids)s);

-- name: broken_rules :: how many rows of each file broke which rule
SELECT file_id, rule, count(*) AS rows
FROM ledger.rejects
CROSS JOIN unnest(rules) AS rule
WHERE file_id = ANY(%(file_ids)s)
GROUP BY file_id, rule;

-- name: ledger_id :: one row: which ledger this is
SELECT ledger_id::text AS ledger_id FROM ledger.identity;

-- name: columns :: the columns of the tables and views of these names in schema report, in order
SELECT relname AS relation, attname AS name, format_type(atttypid, atttypmod) AS type
FROM pg_class
JOIN pg_attribute ON attrelid = pg_class.oid
WHERE relnamespace = 'report'::regnamespace AND relname = ANY(%(relations)s) AND attnum > 0 AND NOT attisdropped
ORDER BY relname, attnum;

-- name: days :: the days (UTC) of the rows that these files have in events, at most so many
-- Of a file whose rows are of one day the ledger knows it; for the others it is looked in the months of their rows.
WITH chosen AS (
    SELECT
        file_id, first_event_time, last_event_time,
        (first_event_time AT TIME ZONE 'UTC')::date AS first_day, (last_event_time AT TIME ZONE 'UTC')::date AS last_day
    FROM ledger.files
    WHERE file_id = ANY(%(file_ids)s) AND state = 'loaded' AND rows_loaded > 0
), several AS (
    SELECT
        array_agg(file_id) AS file_ids,
        min(ledger.since(first_event_time)) AS since,
        max(ledger.until(last_event_time)) AS until
    FROM chosen
    WHERE first_day IS DISTINCT FROM last_day OR first_day IS NULL
)
SELECT day::text AS day
FROM (
    SELECT first_day AS day FROM chosen WHERE first_day = last_day
    UNION
    SELECT (event_time AT TIME ZONE 'UTC')::date
    FROM public.events
    WHERE file_id = ANY((SELECT file_ids FROM several)::bigint[])
        AND event_time BETWEEN (SELECT since FROM several) AND (SELECT until FROM several)
        AND isfinite(event_time)
) AS found
ORDER BY day
LIMIT %(most)s;

-- name: last_ended :: one row: the highest epoch of a stream that has ended, 0 when none has; all before it have ended
SELECT coalesce(max(epoch), 0) AS epoch FROM ledger.streams WHERE ended_at IS NOT NULL;

-- name: fold :: nothing; this one stands for others as well
UPDATE ledger.untold SET news = 'batch', file_id = NULL, details = %(details)s::jsonb WHERE untold_id = %(untold_id)s;

-- name: asset_events :: in Airflow's metadata: which of these ids events of the asset have
SELECT DISTINCT coalesce(asset_event.extra -> 'payload', asset_event.extra) ->> 'id' AS id
FROM asset_event
JOIN asset ON asset.id = asset_event.asset_id
WHERE asset.name = %(asset)s
    AND asset_event.timestamp > %(since)s
    AND coalesce(asset_event.extra -> 'payload', asset_event.extra) ->> 'id' = ANY(%(ids)s);
