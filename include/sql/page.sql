-- What the page of the reports shows (sluice/reports/html). Moments and days leave as text, for no client knows all that
-- PostgreSQL has: years beyond 9999, infinity. Texts are cut, lists have a LIMIT, series have their length: a page stays a
-- page, whatever the feeds hold. Series of days end today, or with the last sale when that is long ago: a feed of old data
-- shows its own last days. What is dated later than the snapshot is in the CSV files only.

-- name: begin :: nothing; the first statement of the transaction: one snapshot, nothing written, an end to what takes long
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET LOCAL statement_timeout = '30s';
SET LOCAL lock_timeout = '5s';
SET LOCAL idle_in_transaction_session_timeout = '60s';
SET LOCAL datestyle = 'ISO, YMD';
SET LOCAL jit = off;

-- name: refresh :: one row: what was refreshed last; none before the first refresh
SELECT
    to_char(as_of AT TIME ZONE zone, 'YYYY-MM-DD HH24:MI:SS') AS as_of,
    to_char(as_of AT TIME ZONE zone, 'YYYY-MM-DD') AS day,
    zone,
    events,
    sales
FROM report.last_refresh
LIMIT 1;

-- name: feeds :: a feed a row, the shop's own first, one more than the page shows
WITH shop AS (
    SELECT (as_of AT TIME ZONE zone)::date AS today FROM report.last_refresh
)
SELECT
    feed,
    counts_sales,
    is_generated,
    is_of_shop,
    ARRAY(
        SELECT days.currency
        FROM report.sales_by_day AS days
        WHERE days.feed = feeds.feed
        GROUP BY 1
        ORDER BY count(*) DESC, 1
        LIMIT 4
    ) AS currencies,
    greatest(
        (
            SELECT max(days.day)
            FROM report.sales_by_day AS days
            WHERE days.feed = feeds.feed AND days.day BETWEEN '0002-01-01' AND shop.today
        ),
        (
            SELECT max(days.day)
            FROM report.funnel_by_day AS days
            WHERE days.feed = feeds.feed AND days.day BETWEEN '0002-01-01' AND shop.today
        )
    )::text AS last_day,
    EXISTS (SELECT FROM report.totals WHERE totals.feed = feeds.feed AND totals.events > 0) AS has_events
FROM report.feeds AS feeds
CROSS JOIN shop
ORDER BY is_of_shop DESC, has_events DESC, last_day DESC NULLS LAST, feeds.feed
LIMIT 25;

-- name: shop_spans :: a row a currency and span of whole days up to yesterday: its figures, and those of the span before it
WITH shop AS (
    SELECT (as_of AT TIME ZONE zone)::date AS today FROM report.last_refresh
),
known AS (
    SELECT
        currency,
        max(day) FILTER (WHERE day BETWEEN '0002-01-01' AND shop.today) AS last_day,
        sum(revenue) FILTER (WHERE day BETWEEN shop.today - 28 AND shop.today - 1) AS lately
    FROM shop
    CROSS JOIN report.shop_by_day
    GROUP BY currency
    ORDER BY lately DESC NULLS LAST, currency
    LIMIT 5
)
SELECT
    known.currency,
    known.last_day::text AS last_day,
    spans.days,
    (shop.today - spans.days)::text AS first_day,
    (shop.today - 1)::text AS final_day,
    coalesce(sum(sold.revenue) FILTER (WHERE sold.day >= shop.today - spans.days), 0) AS revenue,
    coalesce(sum(sold.orders) FILTER (WHERE sold.day >= shop.today - spans.days), 0) AS orders,
    coalesce(sum(sold.units) FILTER (WHERE sold.day >= shop.today - spans.days), 0) AS units,
    coalesce(sum(sold.revenue) FILTER (WHERE sold.day < shop.today - spans.days), 0) AS revenue_before,
    coalesce(sum(sold.orders) FILTER (WHERE sold.day < shop.today - spans.days), 0) AS orders_before,
    coalesce(sum(sold.units) FILTER (WHERE sold.day < shop.today - spans.days), 0) AS units_before
FROM shop
CROSS JOIN known
CROSS JOIN (VALUES (1), (7), (28)) AS spans (days)
LEFT JOIN report.shop_by_day AS sold
    ON sold.currency = known.currency AND sold.day BETWEEN shop.today - 2 * spans.days AND shop.today - 1
GROUP BY known.currency, known.last_day, known.lately, spans.days, shop.today
ORDER BY known.lately DESC NULLS LAST, known.currency, spans.days;

-- name: shop_by_day :: a day a row in which something was sold, over two spans of days
SELECT day::text AS day, orders, revenue
FROM report.shop_by_day
WHERE currency = %(currency)s AND day BETWEEN %(day_before)s AND %(last_day)s
ORDER BY shop_by_day.day
LIMIT 100;

-- name: revenue_by_hour :: an hour of the shop's zone a row in which something was sold; a clock set back gives one twice
SELECT to_char(hour AT TIME ZONE %(zone)s, 'YYYY-MM-DD HH24') AS hour, purchases, revenue
FROM report.revenue_by_hour
WHERE feed = %(feed)s AND currency = %(currency)s
    AND hour >= %(first_hour)s::timestamp AT TIME ZONE %(zone)s
    AND hour <= %(last_hour)s::timestamp AT TIME ZONE %(zone)s
ORDER BY revenue_by_hour.hour
LIMIT 100;

-- name: hour_of_week :: a row an hour of the week in which something was bought; 1 is Monday
SELECT weekday, hour, purchases, revenue
FROM report.hour_of_week
WHERE feed = %(feed)s AND currency = %(currency)s
ORDER BY weekday, hour
LIMIT 168;

-- name: orders_by_day :: a day a row in which something was ordered
SELECT day::text AS day, orders, products, revenue / nullif(orders, 0) AS basket
FROM report.orders_by_day
WHERE feed = %(feed)s AND currency = %(currency)s AND day BETWEEN %(first_day)s AND %(last_day)s
ORDER BY orders_by_day.day
LIMIT 100;

-- name: funnel :: one row; none when no event has a session
SELECT sessions, viewed, carted, bought, view_to_cart, cart_to_buy, view_to_buy
FROM report.funnel
WHERE feed = %(feed)s
LIMIT 1;

-- name: products :: the 20 products of most revenue
SELECT left(product_id, 200) AS product_id, left(category, 200) AS category, revenue, units, buyers
FROM report.top_products
WHERE feed = %(feed)s AND currency = %(currency)s AND rank_by_revenue <= 20
ORDER BY rank_by_revenue
LIMIT 20;

-- name: categories :: the 10 categories of most revenue, then the sum of all others
WITH ranked AS (
    SELECT *, row_number() OVER (ORDER BY revenue DESC, category) AS place
    FROM report.categories
    WHERE feed = %(feed)s AND currency = %(currency)s
)
SELECT
    least(place, 11) > 10 AS others,
    CASE WHEN least(place, 11) > 10 THEN count(*)::text ELSE left(max(category), 200) END AS category,
    sum(purchases) AS purchases,
    sum(units) AS units,
    sum(revenue) AS revenue
FROM ranked
GROUP BY least(place, 11)
ORDER BY least(place, 11);

-- name: payment_methods :: the 8 ways to pay of most revenue, then the sum of all others
WITH ranked AS (
    SELECT *, row_number() OVER (ORDER BY revenue DESC, payment_method) AS place
    FROM report.payment_methods
    WHERE feed = %(feed)s AND currency = %(currency)s
)
SELECT
    least(place, 9) > 8 AS others,
    CASE WHEN least(place, 9) > 8 THEN count(*)::text ELSE left(max(payment_method), 200) END AS payment_method,
    sum(purchases) AS purchases,
    sum(revenue) AS revenue
FROM ranked
GROUP BY least(place, 9)
ORDER BY least(place, 9);

-- name: customers_by_day :: a day a row in which somebody bought
SELECT day::text AS day, new_customers, returning_customers
FROM report.customers_by_day
WHERE feed = %(feed)s AND day BETWEEN %(first_day)s AND %(last_day)s
ORDER BY customers_by_day.day
LIMIT 100;

-- name: cohorts :: a month a row of the first 12 of each of the last 12 cohorts: how many bought in it, and in the first one
WITH past AS (
    SELECT cohort, month, customers
    FROM report.cohorts
    WHERE feed = %(feed)s AND cohort >= '0002-01-01' AND month <= %(today)s
),
newest AS (
    SELECT DISTINCT cohort FROM past ORDER BY cohort DESC LIMIT 12
),
counted AS (
    SELECT
        cohort,
        (extract(year FROM month) - extract(year FROM cohort)) * 12
        + extract(month FROM month) - extract(month FROM cohort) AS months_later,
        customers
    FROM past
    JOIN newest USING (cohort)
)
SELECT
    to_char(cohort, 'YYYY-MM') AS cohort,
    months_later::bigint AS months_later,
    customers,
    first_value(customers) OVER (PARTITION BY counted.cohort ORDER BY months_later) AS size
FROM counted
WHERE months_later BETWEEN 0 AND 11
ORDER BY counted.cohort, months_later
LIMIT 144;

-- name: bought_together :: the 10 pairs of products that most orders have
SELECT left(product_id, 200) AS product_id, left(other_product_id, 200) AS other_product_id, orders
FROM report.bought_together
WHERE feed = %(feed)s
ORDER BY orders DESC, bought_together.product_id, bought_together.other_product_id
LIMIT 10;

-- name: abandoned_carts :: a day a row in which something was put in a cart
SELECT day::text AS day, carts, abandoned, abandoned_value
FROM report.abandoned_carts
WHERE feed = %(feed)s AND day BETWEEN %(first_day)s AND %(last_day)s
ORDER BY abandoned_carts.day
LIMIT 100;

-- name: searches :: the 15 things most looked for
SELECT left(query, 200) AS query, searches, without_result, sessions, carted, bought
FROM report.searches
WHERE feed = %(feed)s
ORDER BY searches DESC, searches.query
LIMIT 15;

-- name: searches_without_result :: the 15 things most looked for and not found
SELECT
    left(search_query, 200) AS search_query,
    searches,
    users,
    (last_searched_at AT TIME ZONE zone)::date::text AS last_day
FROM report.searches_without_result
CROSS JOIN (SELECT zone FROM report.last_refresh) AS refreshed
WHERE feed = %(feed)s
ORDER BY searches DESC, searches_without_result.search_query
LIMIT 15;
