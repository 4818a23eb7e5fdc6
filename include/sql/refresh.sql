-- How the reports of include/sql/reports are kept up. {…} are the names of tables and columns, and values.
--
-- A unit is a feed and a UTC day. Cells hold a row a unit and key; a report is sums over cells. A refresh counts those
-- units anew of which a row came or left since the last one: it makes their cells, takes the difference to the cells that
-- are there, and adds to each report what the cells that changed contribute now, less what they contributed before. So its
-- cost follows the days that changed, not the events that there are.
-- docs/decisions/0018-reports-from-what-changed.md says why.

-- name: begin :: nothing; the transaction of a refresh has begun
-- One transaction on one snapshot, so that reports agree with one another while events go on arriving. The lock comes
-- before the snapshot (LOCK TABLE takes none) and makes a second refresh wait; readers do not notice it.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;
SET LOCAL work_mem = '64MB';
SET LOCAL jit = off;
-- A basket is a text with a day in it, which is the same whoever refreshes.
SET LOCAL datestyle = 'ISO';
-- A refresh looks at its own tables once: a sample of so many rows tells enough of them, at a tenth of the usual cost.
SET LOCAL default_statistics_target = 10;
-- Airflow's sessions are not ours: also one of them that is frozen gives the reports free.
SET LOCAL idle_in_transaction_session_timeout = '60s';
LOCK TABLE report.last_refresh IN SHARE ROW EXCLUSIVE MODE;

-- name: take_changes :: one row: how many changes wait; all that this snapshot sees are taken
CREATE TEMPORARY TABLE taken_changes ON COMMIT DROP AS
SELECT change_id, file_id, feed, day FROM ledger.report_changes;
-- A unit that is not counted as a whole has those cells counted of which an event came.
CREATE TEMPORARY TABLE units_to_count (
    feed     text NOT NULL,
    unit     date NOT NULL,
    events   bigint,
    is_whole boolean NOT NULL DEFAULT true
) ON COMMIT DROP;
CREATE TEMPORARY TABLE changed_units (
    feed     text NOT NULL,
    unit     date NOT NULL,
    is_whole boolean NOT NULL DEFAULT true
) ON COMMIT DROP;
-- Of a month that was dropped nothing can be counted any more. One that has expired is there until its last change is.
CREATE TEMPORARY TABLE frozen_days ON COMMIT DROP AS
SELECT (begins AT TIME ZONE 'UTC')::date AS begins, (ends AT TIME ZONE 'UTC')::date AS ends FROM ledger.expired_months;

-- name: count_taken :: one row
SELECT count(*) AS changes FROM pg_temp.taken_changes;

-- name: forget_changes :: nothing
DELETE FROM ledger.report_changes USING pg_temp.taken_changes AS taken WHERE report_changes.change_id = taken.change_id;

-- name: make_rows_that_came :: nothing; an empty table: of each row that came its unit, and the {keys} of its cells
CREATE TEMPORARY TABLE rows_that_came ON COMMIT DROP AS
SELECT NULL::text AS feed, NULL::date AS unit, {keys} FROM public.events WITH NO DATA;

-- name: count_rows_that_came :: one row: how many rows the files have of which some came
SELECT coalesce(sum(rows_loaded), 0)::bigint AS rows
FROM ledger.files
WHERE file_id IN (SELECT file_id FROM pg_temp.taken_changes);

-- name: make_changed_files :: nothing; the files of which rows came, and when
CREATE TEMPORARY TABLE changed_files ON COMMIT DROP AS
SELECT file_id, coalesce(contract, 'unknown') AS feed, first_event_time, last_event_time
FROM ledger.files
WHERE file_id IN (SELECT file_id FROM pg_temp.taken_changes);
ANALYZE pg_temp.changed_files;

-- name: runs_of_changed_files :: a row a run of such files, with the moments of the months in which their rows lie, as text
-- Files that follow one another are looked up together: their rows lie together, and one look takes as long as many. There
-- are a thousand runs at most.
SELECT
    min(file_id) AS first_file,
    max(file_id) AS last_file,
    min(ledger.since(first_event_time))::text AS since,
    max(ledger.until(last_event_time))::text AS until
FROM (
    SELECT *, count(*) FILTER (WHERE starts) OVER (ORDER BY file_id) AS run
    FROM (
        SELECT
            *,
            file_id - lag(file_id) OVER (ORDER BY file_id)
            > greatest(100, (max(file_id) OVER () - min(file_id) OVER ()) / 1000) AS starts
        FROM pg_temp.changed_files
    ) AS gaps
) AS numbered
GROUP BY run
ORDER BY run;

-- name: find_rows_that_came :: nothing; those of the files from {first_file} to {last_file}
-- Literal moments: what the planner knows only while it runs makes it look through every month.
INSERT INTO pg_temp.rows_that_came
SELECT DISTINCT feed, unit, {keys}
FROM (
    SELECT *, (event_time AT TIME ZONE 'UTC')::date AS unit
    FROM public.events
    WHERE file_id BETWEEN {first_file} AND {last_file} AND event_time >= {since} AND event_time <= {until}
) AS found
JOIN pg_temp.changed_files USING (file_id);

-- name: units_of_changes :: nothing; the units that changed, and how many events they may have
INSERT INTO pg_temp.units_to_count
SELECT
    feed,
    unit,
    sum(came) + (
        SELECT coalesce(sum(events), 0) FROM report_cells.visits WHERE visits.feed = changed.feed AND visits.unit = changed.unit
    ),
    bool_or(is_whole)
FROM (
    SELECT feed, unit, count(*) AS came, {is_whole} AS is_whole FROM pg_temp.rows_that_came GROUP BY feed, unit
    UNION ALL
    SELECT feed, day, 0, true FROM pg_temp.taken_changes WHERE day IS NOT NULL
) AS changed
WHERE NOT EXISTS (SELECT FROM pg_temp.frozen_days AS frozen WHERE unit >= frozen.begins AND unit < frozen.ends)
GROUP BY feed, unit;

-- name: count_events_to_count :: one row: how many events the units have of which all are counted
SELECT coalesce(sum(events) FILTER (WHERE is_whole), 0)::bigint AS events FROM pg_temp.units_to_count;

-- name: units_of_feeds :: nothing; all units of the feeds {feeds}, which are counted in another way from now on
DELETE FROM pg_temp.units_to_count WHERE feed = ANY ({feeds});
INSERT INTO pg_temp.units_to_count (feed, unit)
SELECT DISTINCT feed, unit
FROM (
    SELECT feed, unit FROM report_cells.visits
    UNION ALL
    SELECT feed, unit FROM pg_temp.rows_that_came
) AS known
WHERE feed = ANY ({feeds})
    AND NOT EXISTS (SELECT FROM pg_temp.frozen_days AS frozen WHERE unit >= frozen.begins AND unit < frozen.ends);

-- name: units_of_all :: nothing; every unit that has events, and how many
INSERT INTO pg_temp.units_to_count (feed, unit, events)
SELECT coalesce(contract, 'unknown'), day, sum(counted.events)
FROM (
    SELECT file_id, (event_time AT TIME ZONE 'UTC')::date AS day, count(*) AS events
    FROM public.events
    GROUP BY file_id, day
) AS counted
LEFT JOIN ledger.files USING (file_id)
WHERE NOT EXISTS (SELECT FROM pg_temp.frozen_days AS frozen WHERE day >= frozen.begins AND day < frozen.ends)
GROUP BY 1, day;

-- name: make_queue :: nothing; the units in order, in batches of {most} events or one unit; unknown ones are taken for many
CREATE TEMPORARY TABLE queued_units ON COMMIT DROP AS
SELECT
    feed,
    unit,
    bool_or(is_whole) OVER (PARTITION BY unit) AS is_whole,
    floor(sum(coalesce(events, 100000)) OVER (ORDER BY unit, feed) / {most}) AS batch
FROM pg_temp.units_to_count;

-- name: batches :: batch and how many units it has
SELECT batch, count(*) AS units FROM pg_temp.queued_units GROUP BY batch ORDER BY batch;

-- name: take_batch :: nothing
TRUNCATE pg_temp.changed_units, pg_temp.changed_events;
INSERT INTO pg_temp.changed_units SELECT feed, unit, is_whole FROM pg_temp.queued_units WHERE batch = {batch};
ANALYZE pg_temp.changed_units;

-- name: days_of_batch :: the days of the batch as text, for no client knows all days that PostgreSQL has
SELECT DISTINCT unit::text AS day FROM pg_temp.changed_units ORDER BY day;

-- name: make_events :: nothing; an empty table, of which cells are made
-- NaN has no sum, and no difference: it counts as no amount.
CREATE TEMPORARY TABLE changed_events (
    feed                 text NOT NULL,
    unit                 date NOT NULL,
    event_id             uuid NOT NULL,
    event_type           text NOT NULL,
    event_time           timestamptz NOT NULL,
    local_day            date NOT NULL,
    hour                 timestamptz NOT NULL,
    hour_of_day          integer,
    user_id              text,
    product_id           text,
    category             text,
    session_id           text,
    search_query         text,
    query                text,
    search_results_count bigint,
    payment_method       text,
    currency             text NOT NULL,
    is_purchase          boolean NOT NULL,
    is_cancellation      boolean NOT NULL,
    price                numeric,
    quantity             bigint,
    total_amount         numeric,
    units                numeric,
    amount               numeric,
    kinds                integer NOT NULL
) ON COMMIT DROP;

-- name: fill_events :: nothing; the events of the batch's units on {day}, in {zone}, that cells of any kind count
INSERT INTO pg_temp.changed_events
WITH of_day AS MATERIALIZED (
    SELECT *
    FROM (
        SELECT
            file_id, event_id, event_type, event_time, user_id, product_id, category, price, session_id, search_query,
            search_results_count, quantity, total_amount, payment_method, extra ->> 'currency' AS own_currency,
            CASE
                WHEN (SELECT bool_or(is_whole) FROM pg_temp.changed_units WHERE unit = {day}::date) THEN -1
                ELSE {kinds}
            END AS kinds
        FROM public.events AS events
        WHERE event_time >= {day}::date::timestamp AT TIME ZONE 'UTC'
            AND event_time <= CASE
                WHEN {day}::date BETWEEN '4000-01-01 BC' AND '290000-01-01'
                    THEN ({day}::date + 1)::timestamp AT TIME ZONE 'UTC'
                ELSE 'infinity'
            END
            AND (event_time AT TIME ZONE 'UTC')::date = {day}::date
        OFFSET 0 -- so that kinds are found out once
    ) AS events
    WHERE kinds <> 0
), of_files AS MATERIALIZED (
    -- One look for each file: a join would read all files when there are many.
    SELECT file_id, feed, coalesce(counts_sales, true) AS counts_sales, coalesce(currency, '') AS feeds_currency
    FROM (SELECT DISTINCT file_id FROM of_day) AS named
    CROSS JOIN LATERAL (
        SELECT coalesce((SELECT contract FROM ledger.files WHERE files.file_id = named.file_id), 'unknown') AS feed
    ) AS of_file
    LEFT JOIN report.feeds USING (feed)
    WHERE feed IN (SELECT feed FROM pg_temp.changed_units WHERE unit = {day}::date)
), judged AS (
    SELECT
        of_day.*,
        feed,
        -- A moment that has no day in every zone is told in UTC.
        CASE WHEN {day}::date BETWEEN '4000-01-01 BC' AND '290000-01-01' THEN {zone} ELSE 'UTC' END AS zone,
        counts_sales AND event_type = 'purchase' AS is_purchase,
        counts_sales AND event_type = 'cancellation' AS is_cancellation,
        CASE WHEN own_currency ~ '^[A-Za-z]{{3}}$' THEN upper(own_currency) ELSE feeds_currency END AS currency,
        nullif(price, 'NaN') AS known_price,
        nullif(total_amount, 'NaN') AS known_total
    FROM of_day
    JOIN of_files USING (file_id)
), counted AS (
    SELECT
        *,
        event_time AT TIME ZONE zone AS local_time,
        CASE
            WHEN is_purchase THEN coalesce(quantity, 1)
            WHEN is_cancellation THEN coalesce(quantity, -1)
        END::numeric AS units
    FROM judged
)
SELECT
    feed,
    {day}::date,
    event_id,
    event_type,
    event_time,
    local_time::date,
    date_trunc('hour', event_time, zone),
    extract(hour FROM local_time)::integer,
    user_id,
    product_id,
    category,
    session_id,
    search_query,
    lower(btrim(search_query)),
    search_results_count,
    payment_method,
    currency,
    is_purchase,
    is_cancellation,
    known_price,
    quantity,
    known_total,
    units,
    CASE WHEN is_purchase OR is_cancellation THEN coalesce(known_total, known_price * units, 0) END,
    kinds
FROM counted;

-- name: know_events :: nothing
ANALYZE pg_temp.changed_events;

-- name: has_come :: whether something came of a unit and key: the one is {key}, those that came are {key_that_came}
{key} IN (SELECT {key_that_came} FROM pg_temp.rows_that_came AS came)

-- name: events_of_cells :: the events of which cells are made that have the bit {kind}
(SELECT events.* FROM pg_temp.changed_events AS events WHERE kinds & {kind} <> 0)

-- name: make_cells :: nothing; tables for a batch's cells, for those that go and those that come
CREATE TEMPORARY TABLE {new} (LIKE {cells}) ON COMMIT DROP;
CREATE TEMPORARY TABLE {gone} (at tid NOT NULL, LIKE {cells}) ON COMMIT DROP;
CREATE TEMPORARY TABLE {come} (LIKE {cells}) ON COMMIT DROP;

-- name: fill_new_cells :: nothing; the batch's cells as they should be
TRUNCATE {new};
INSERT INTO {new}
{rows};

-- name: fill_differences :: nothing; which cells go, and which come
TRUNCATE {gone}, {come};
WITH standing AS MATERIALIZED (
    SELECT cells.ctid AS at, cells AS cell
    FROM {cells} AS cells
    JOIN pg_temp.changed_units AS units ON units.feed = cells.feed AND units.unit = cells.unit
    WHERE cells.unit = ANY ({days}::date[]) AND (is_whole OR {has_come})
), added AS (
    INSERT INTO {come}
    SELECT made.*
    FROM {new} AS made
    WHERE NOT EXISTS (
        SELECT FROM standing
        WHERE hash_record_extended(made, 0) = hash_record_extended(cell, 0) AND (made.*) IS NOT DISTINCT FROM cell
    )
)
INSERT INTO {gone}
SELECT at, (cell).*
FROM standing
WHERE NOT EXISTS (
    SELECT FROM {new} AS made
    WHERE hash_record_extended(made, 0) = hash_record_extended(cell, 0) AND (made.*) IS NOT DISTINCT FROM cell
);
ANALYZE {gone}, {come};

-- name: change_cells :: nothing
DELETE FROM {cells} AS cells USING {gone} AS gone WHERE cells.ctid = gone.at;
INSERT INTO {cells} SELECT * FROM {come};

-- name: count_differences :: one row
SELECT (SELECT count(*) FROM {gone}) AS gone, (SELECT count(*) FROM {come}) AS come;

-- name: count_doubled :: one row: how many cells of the changed units are there more than once
SELECT
    (SELECT count(*) FROM {cells} WHERE (feed, unit) IN (SELECT feed, unit FROM pg_temp.changed_units))
    - (SELECT count(*) FROM {gone})
    - (SELECT count(*) FROM {new})
    + (SELECT count(*) FROM {come}) AS doubled;

-- name: changed_keys :: the keys of one cells table of which a cell goes or comes
SELECT {whole} FROM {gone}
UNION
SELECT {whole} FROM {come}

-- name: whole_keys :: the keys of which all cells count
SELECT * FROM (
    {changed}
) AS changed
WHERE num_nulls({whole}) = 0

-- name: whole_standing :: all cells that are there of the keys, each once: what a report reads of cells before
{standing} AS MATERIALIZED (
    SELECT cells.ctid AS at, cells.* FROM {cells} AS cells JOIN keys USING ({whole})
)

-- name: whole_after :: the same when the difference is made
(
    SELECT standing.*
    FROM {standing} AS standing
    WHERE NOT EXISTS (SELECT FROM {gone} AS gone WHERE gone.at = standing.at)
    UNION ALL
    SELECT NULL, come.*
    FROM {come} AS come
    JOIN keys USING ({whole})
)

-- name: make_delta :: nothing; what is added to a report, a row a key, of a report of which each cell counts by itself
CREATE TEMPORARY TABLE {delta} ON COMMIT DROP AS
SELECT {key}, {figures}
FROM (
    SELECT 1 AS sign, after.* FROM (
        {after}
    ) AS after
    UNION ALL
    SELECT -1, before.* FROM (
        {before}
    ) AS before
) AS contributed
GROUP BY {key}
HAVING {differs};
ANALYZE {delta};

-- name: make_whole_delta :: nothing; the same of a report that needs all cells of a key
CREATE TEMPORARY TABLE {delta} ON COMMIT DROP AS
WITH keys AS MATERIALIZED (
    {keys}
), {standing}
SELECT {key}, {figures}
FROM (
    SELECT 1 AS sign, after.* FROM (
        {after}
    ) AS after
    UNION ALL
    SELECT -1, before.* FROM (
        {before}
    ) AS before
) AS contributed
GROUP BY {key}
HAVING {differs};
ANALYZE {delta};

-- name: stale_keys :: nothing; the keys of which a least or greatest value left with a cell
CREATE TEMPORARY TABLE {stale} ON COMMIT DROP AS
SELECT {of_delta}
FROM {delta} AS delta
JOIN {table} AS report ON {same_key}
WHERE {left};
ANALYZE {stale};

-- name: add_delta :: nothing; the report is as its cells are, but for values of stale keys
UPDATE {table} AS report
SET {sums}
FROM {delta} AS delta
WHERE {same_key};
INSERT INTO {table}
SELECT {new_row}
FROM {delta} AS delta
WHERE NOT EXISTS (SELECT FROM {table} AS report WHERE {same_key});
DELETE FROM {table} AS report
USING {delta} AS delta
WHERE {same_key} AND {is_empty};
DROP TABLE {delta};

-- name: mend_stale :: nothing; least and greatest values of stale keys, from all their cells
UPDATE {table} AS report
SET {mended}
FROM (
    {rows}
) AS delta
WHERE {same_key};
DROP TABLE {stale};

-- name: all_cells_of_stale :: what a report reads of cells
(SELECT cells.* FROM {cells} AS cells JOIN {stale} AS stale USING ({key}))

-- name: forget_cells :: nothing; those of days that can be counted anew
DELETE FROM {cells}
WHERE NOT EXISTS (SELECT FROM pg_temp.frozen_days AS frozen WHERE unit >= frozen.begins AND unit < frozen.ends);

-- name: add_cells :: nothing
INSERT INTO {cells} SELECT * FROM {new};

-- name: whole_rows :: a report from all cells that there are, as one that is kept up: it has no sum of nothing, no row of zeros
SELECT {columns}
FROM (
    {rows}
) AS counted
WHERE {is_any}

-- name: whole_cells :: what a report reads of cells, of which only those with a key count
(SELECT * FROM {cells} WHERE num_nulls({whole}) = 0)

-- name: count_whole :: nothing
DELETE FROM {table};
INSERT INTO {table}
{rows};

-- name: compare_whole :: one row: how many rows of a report are not what all its cells give
SELECT count(*) AS differences
FROM (
    (TABLE {table} EXCEPT {rows})
    UNION ALL
    ({rows} EXCEPT TABLE {table})
) AS different;

-- name: random_unit :: one row: a unit that can be counted anew, any; none when there is none
SELECT feed, unit::text AS unit
FROM (SELECT DISTINCT feed, unit FROM report_cells.visits) AS units
WHERE NOT EXISTS (SELECT FROM pg_temp.frozen_days AS frozen WHERE unit >= frozen.begins AND unit < frozen.ends)
ORDER BY random()
LIMIT 1;

-- name: take_unit :: nothing; the batch is this one
TRUNCATE pg_temp.changed_units, pg_temp.changed_events;
INSERT INTO pg_temp.changed_units (feed, unit) VALUES ({feed}, {unit}::date);

-- name: is_comparison_due :: one row: whether the last comparison began so many seconds ago, or none ever did
SELECT coalesce(max(compared_at) < clock_timestamp() - make_interval(secs => %(seconds)s), true) AS is_due
FROM report_cells.comparisons;

-- name: note_comparison :: nothing
INSERT INTO report_cells.comparisons (compared_at, feed, unit, report, differences)
VALUES (clock_timestamp(), {feed}, {unit}::date, {report}, {differences});

-- name: forget_comparisons :: nothing; they were of what was there before all was counted anew
DELETE FROM report_cells.comparisons;

-- name: built :: name and digest of what stands, and the zone in which it was counted
SELECT name, digest, zone FROM report_cells.built;

-- name: note_built :: nothing
DELETE FROM report_cells.built WHERE name = {name};
INSERT INTO report_cells.built (name, digest, zone) VALUES ({name}, {digest}, {zone});

-- name: publish :: nothing; what the last refresh was
DELETE FROM ledger.failed_refresh;
DELETE FROM report.last_refresh;
INSERT INTO report.last_refresh (built_by, as_of, zone, changes, seconds, is_whole, events, sales, revenue)
SELECT
    {run_id},
    now(),
    {zone},
    {changes},
    extract(epoch FROM clock_timestamp() - now()),
    {is_whole},
    coalesce(sum(events), 0),
    coalesce(sum(purchases + cancellations), 0),
    coalesce(sum(revenue), 0)
FROM report.totals;

-- name: due_in :: seconds until refreshes have taken %(share)s of the time since the last one began; no row when it says nothing
SELECT ceil(extract(epoch FROM as_of - clock_timestamp()) + seconds / %(share)s)::bigint AS seconds
FROM report.last_refresh
WHERE NOT is_whole;

-- name: forget_failure :: nothing
DELETE FROM ledger.failed_refresh;

-- name: note_failure :: nothing
INSERT INTO ledger.failed_refresh (failed_at, report, error) VALUES (now(), %(report)s, %(error)s);

-- name: make_draft :: nothing; an empty table of this session's own, with the columns
CREATE TEMPORARY TABLE {draft} ON COMMIT DROP AS
{rows}
WITH NO DATA;

-- name: standing :: one row: what stands under a name, and whether it has the draft's columns
SELECT
    (SELECT relkind::text FROM pg_class WHERE oid = to_regclass(%(name)s)) AS kind,
    (
        SELECT array_agg(format('%%s %%s', attname, format_type(atttypid, atttypmod)) ORDER BY attnum)
        FROM pg_attribute
        WHERE attrelid = to_regclass(%(name)s) AND attnum > 0 AND NOT attisdropped
    ) IS NOT DISTINCT FROM (
        SELECT array_agg(format('%%s %%s', attname, format_type(atttypid, atttypmod)) ORDER BY attnum)
        FROM pg_attribute
        WHERE attrelid = to_regclass(%(draft)s) AND attnum > 0 AND NOT attisdropped
    ) AS is_same;

-- name: columns :: by table the names of its columns, in order
SELECT relname AS name, array_agg(attname::text ORDER BY attnum) AS columns
FROM pg_attribute
JOIN pg_class ON pg_class.oid = attrelid
WHERE relnamespace = to_regnamespace(%(schema)s) AND relkind = 'r' AND attnum > 0 AND NOT attisdropped
GROUP BY relname;

-- name: type_of :: one row: the type of a column
SELECT format_type(atttypid, NULL) AS type
FROM pg_attribute
WHERE attrelid = to_regclass(%(name)s) AND attname = %(column)s;

-- name: forget_built :: nothing; what was made is empty
DELETE FROM report_cells.built WHERE name = {name};

-- name: drop_table :: nothing; raises when a view needs it
DROP TABLE {table};

-- name: drop_view :: nothing; raises when another view needs it
DROP VIEW {table};

-- name: make_table :: nothing; an empty table
CREATE TABLE {table} (LIKE {draft});

-- name: make_view :: nothing; raises when one stands there with other columns
CREATE OR REPLACE VIEW {table} AS
{rows};

-- name: not_null :: nothing
ALTER TABLE {table} {constraints};

-- name: index_by_unit :: nothing
CREATE INDEX ON {table} (unit);

-- name: index_by_key :: nothing
-- Texts may be of any length, which no index of sorted values takes.
CREATE INDEX ON {table} ({key});

-- name: index_by_text :: nothing
-- A text may be of any length, which no index of sorted values takes.
CREATE INDEX ON {table} USING hash ({column});

-- name: index_by_value :: nothing
CREATE INDEX ON {table} ({column});

-- name: comment_table :: nothing
COMMENT ON TABLE {table} IS {says};

-- name: comment_view :: nothing
COMMENT ON VIEW {table} IS {says};

-- name: grant_reading :: nothing; whoever may use the schema may read the reports
GRANT SELECT ON {table} TO PUBLIC;

-- name: grant_refreshing :: nothing; the reader refreshes, and so does an unload when it is done
GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO sluice_writer, sluice_reader;

-- name: has_roles :: one row: whether there are roles of ours, or one login for everything
SELECT count(*) = 2 AS has_roles FROM pg_roles WHERE rolname IN ('sluice_writer', 'sluice_reader');
