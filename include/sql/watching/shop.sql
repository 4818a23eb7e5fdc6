-- What room Shop shows: sums over the tables of schema report, and over the cells that they are made of. Feeds are a list of
-- names, a range is of whole days of the shop's zone. Each is shown to people with its values in it, to be run again.

-- name: refresh :: one row: of when the reports are, in which zone their days are, which day it is there, and what waits
SELECT
    as_of,
    zone,
    (now() AT TIME ZONE zone)::date AS today,
    (SELECT count(*) FROM (SELECT FROM ledger.report_changes LIMIT 10001) AS waiting) AS changes_waiting
FROM report.last_refresh
LIMIT 1;

-- name: has_events :: one row: whether a file is loaded, which a refresh could count
SELECT EXISTS (SELECT FROM ledger.files WHERE state = 'loaded') AS has_events;

-- name: currencies :: a currency a row, that of most revenue in the last 28 days first, with its last day of a sale
SELECT
    currency,
    (max(day) FILTER (WHERE day BETWEEN '0002-01-01' AND %(today)s))::text AS last_day,
    sum(revenue) FILTER (WHERE day BETWEEN %(today)s - 28 AND %(today)s) AS lately
FROM report.sales_by_day
WHERE feed = ANY (%(feeds)s::text[])
GROUP BY currency
ORDER BY lately DESC NULLS LAST, currency
LIMIT 20;

-- name: sales :: a day a row on which something was bought or cancelled
SELECT
    day::text AS day,
    sum(purchases)::bigint AS purchases,
    sum(cancellations)::bigint AS cancellations,
    sum(sales.units) AS units,
    sum(coalesce(orders, 0))::bigint AS orders,
    sum(coalesce(ordered.revenue, 0)) AS ordered,
    sum(sales.revenue) AS revenue
FROM report.sales_by_day AS sales
LEFT JOIN report.orders_by_day AS ordered USING (feed, currency, day)
WHERE feed = ANY (%(feeds)s::text[]) AND currency = %(currency)s AND day BETWEEN %(first)s AND %(last)s
GROUP BY sales.day
ORDER BY sales.day
LIMIT 800;

-- name: hours :: each hour of one day a row; a clock set back gives one twice
SELECT
    to_char(begins AT TIME ZONE %(zone)s, 'HH24:MI') AS at,
    begins AS hour,
    coalesce(sum(purchases), 0)::bigint AS purchases,
    coalesce(sum(cancellations), 0)::bigint AS cancellations,
    coalesce(sum(revenue), 0) AS revenue
FROM generate_series(
    %(first)s::date::timestamp AT TIME ZONE %(zone)s,
    (%(first)s::date + 1)::timestamp AT TIME ZONE %(zone)s - interval '1 second',
    interval '1 hour'
) AS hours (begins)
LEFT JOIN report.revenue_by_hour AS sold
    ON sold.hour >= hours.begins AND sold.hour < hours.begins + interval '1 hour'
    AND feed = ANY (%(feeds)s::text[]) AND currency = %(currency)s
GROUP BY hours.begins
ORDER BY hours.begins
LIMIT 30;

-- name: funnel :: a day a row on which sessions began: how many of them viewed, carted, bought
SELECT
    day::text AS day,
    sum(sessions)::bigint AS sessions,
    sum(viewed)::bigint AS viewed,
    sum(carted)::bigint AS carted,
    sum(bought)::bigint AS bought,
    sum(viewed_and_carted)::bigint AS viewed_and_carted,
    sum(carted_and_bought)::bigint AS carted_and_bought,
    sum(viewed_and_bought)::bigint AS viewed_and_bought
FROM report.funnel_by_day AS days
WHERE feed = ANY (%(feeds)s::text[]) AND day BETWEEN %(first)s AND %(last)s
GROUP BY days.day
ORDER BY days.day
LIMIT 800;

-- name: customers :: a day a row on which users bought: for the first time, or again
SELECT
    day::text AS day,
    sum(new_customers)::bigint AS new_customers,
    sum(returning_customers)::bigint AS returning_customers
FROM report.customers_by_day AS days
WHERE feed = ANY (%(feeds)s::text[]) AND day BETWEEN %(first)s AND %(last)s
GROUP BY days.day
ORDER BY days.day
LIMIT 800;

-- name: customers_of_month :: one row: users who bought in the month that begins on this day, each once
SELECT
    coalesce(sum(customers) FILTER (WHERE cohort = month), 0)::bigint AS new_customers,
    coalesce(sum(customers) FILTER (WHERE cohort < month), 0)::bigint AS returning_customers
FROM report.cohorts
WHERE feed = ANY (%(feeds)s::text[]) AND month = %(first)s;

-- name: products :: the products of most revenue, with that of the range before
SELECT
    left(product_id, 200) AS product_id,
    left(max(category), 200) AS category,
    sum(purchases) FILTER (WHERE local_day >= %(first)s)::bigint AS purchases,
    sum(units) FILTER (WHERE local_day >= %(first)s) AS units,
    sum(revenue) FILTER (WHERE local_day >= %(first)s) AS revenue,
    coalesce(sum(revenue) FILTER (WHERE local_day < %(first)s), 0) AS revenue_before
FROM report_cells.sales
WHERE feed = ANY (%(feeds)s::text[]) AND currency = %(currency)s AND product_id IS NOT NULL
    -- A day of the shop's zone lies in two of UTC, by which cells are looked up.
    AND unit BETWEEN %(before)s::date - 1 AND %(last)s::date + 1
    AND local_day BETWEEN %(before)s AND %(last)s
GROUP BY sales.product_id
HAVING sum(purchases) FILTER (WHERE local_day >= %(first)s) > 0
ORDER BY 5 DESC, sales.product_id
LIMIT %(most)s;

-- name: product :: a day a row on which one product was bought or cancelled
SELECT
    local_day::text AS day,
    sum(purchases)::bigint AS purchases,
    sum(cancellations)::bigint AS cancellations,
    sum(units) AS units,
    sum(revenue) AS revenue
FROM report_cells.sales
WHERE feed = ANY (%(feeds)s::text[]) AND currency = %(currency)s AND product_id = %(product)s
    AND unit BETWEEN %(first)s::date - 1 AND %(last)s::date + 1
    AND local_day BETWEEN %(first)s AND %(last)s
GROUP BY sales.local_day
ORDER BY sales.local_day
LIMIT 800;

-- name: searches :: a day of UTC a row on which something was looked for: how often, and how often nothing was found
SELECT unit::text AS day, sum(searches)::bigint AS searches, sum(without_result)::bigint AS without_result
FROM report_cells.lookups
WHERE feed = ANY (%(feeds)s::text[]) AND unit BETWEEN %(first)s AND %(last)s
GROUP BY lookups.unit
ORDER BY lookups.unit
LIMIT 800;

-- name: terms :: what was looked for and not found most often on these days of UTC
SELECT left(query, 200) AS term, sum(searches)::bigint AS searches, sum(without_result)::bigint AS without_result
FROM report_cells.lookups
WHERE feed = ANY (%(feeds)s::text[]) AND unit BETWEEN %(first)s AND %(last)s AND without_result > 0
GROUP BY lookups.query
ORDER BY 3 DESC, lookups.query
LIMIT %(most)s;

-- name: term :: a day of UTC a row on which this was looked for
SELECT unit::text AS day, sum(searches)::bigint AS searches, sum(without_result)::bigint AS without_result
FROM report_cells.lookups
WHERE feed = ANY (%(feeds)s::text[]) AND unit BETWEEN %(first)s AND %(last)s AND query = %(term)s
GROUP BY lookups.unit
ORDER BY lookups.unit
LIMIT 800;

-- name: active :: one row: sessions with an event in the last half an hour before the refresh
-- By hash: to count DISTINCT pairs, they would be sorted, which takes four times as long.
SELECT count(*) AS sessions
FROM (
    SELECT DISTINCT feed, session_id
    FROM report_cells.visits
    WHERE feed = ANY (%(feeds)s::text[]) AND session_id IS NOT NULL
        AND unit BETWEEN ((%(as_of)s::timestamptz - interval '30 minutes') AT TIME ZONE 'UTC')::date
        AND (%(as_of)s::timestamptz AT TIME ZONE 'UTC')::date
        AND last_seen > %(as_of)s::timestamptz - interval '30 minutes' AND last_seen <= %(as_of)s
) AS seen;
