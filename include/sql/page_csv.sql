-- The CSV files beside the page of the reports: whole tables, all feeds, one row more than a file takes (which is how it
-- is known that there are more). What is newest or largest comes first. Texts are cut to what no id or query needs, and a
-- cell takes; moments are those of the shop's zone, as text.

-- name: feeds :: a feed a row
SELECT left(feed, 1000) AS feed, left(currency, 1000) AS currency, counts_sales, is_generated, is_of_shop
FROM report.feeds
ORDER BY feeds.feed
LIMIT 20001;

-- name: shop_by_day :: a currency and day a row, over the feeds that are the shop's
SELECT left(currency, 1000) AS currency, day::text AS day, purchases, cancellations, units, orders, buyers, revenue
FROM report.shop_by_day
ORDER BY shop_by_day.day DESC, shop_by_day.currency
LIMIT 20001;

-- name: sales_by_day :: a feed, currency and day a row
SELECT
    left(feed, 1000) AS feed,
    left(currency, 1000) AS currency,
    day::text AS day,
    purchases,
    cancellations,
    units,
    buyers,
    revenue
FROM report.sales_by_day AS days
ORDER BY days.day DESC, days.feed, days.currency
LIMIT 20001;

-- name: revenue_by_hour :: a feed, currency and hour a row
SELECT
    left(feed, 1000) AS feed,
    left(currency, 1000) AS currency,
    (hour AT TIME ZONE zone)::text AS hour,
    (hour AT TIME ZONE 'UTC')::text AS hour_in_utc,
    purchases,
    cancellations,
    units,
    buyers,
    revenue
FROM report.revenue_by_hour AS hours
CROSS JOIN (SELECT zone FROM report.last_refresh) AS refreshed
ORDER BY hours.hour DESC, hours.feed, hours.currency
LIMIT 20001;

-- name: hour_of_week :: a feed, currency and hour of the week a row; weekday 1 is Monday
SELECT left(feed, 1000) AS feed, left(currency, 1000) AS currency, weekday, hour, purchases, units, revenue
FROM report.hour_of_week AS hours
ORDER BY hours.feed, hours.currency, weekday, hour
LIMIT 20001;

-- name: orders_by_day :: a feed, currency and day a row
SELECT left(feed, 1000) AS feed, left(currency, 1000) AS currency, day::text AS day, orders, products, units, revenue
FROM report.orders_by_day AS days
ORDER BY days.day DESC, days.feed, days.currency
LIMIT 20001;

-- name: funnel :: a feed a row
SELECT left(feed, 1000) AS feed, sessions, viewed, carted, bought, view_to_cart, cart_to_buy, view_to_buy
FROM report.funnel
ORDER BY funnel.feed
LIMIT 20001;

-- name: products :: a feed, currency and product a row
SELECT
    left(feed, 1000) AS feed,
    left(currency, 1000) AS currency,
    left(product_id, 1000) AS product_id,
    left(category, 1000) AS category,
    lowest_price,
    highest_price,
    (first_seen AT TIME ZONE zone)::text AS first_seen,
    (last_seen AT TIME ZONE zone)::text AS last_seen,
    events,
    views,
    carts,
    purchases,
    units,
    buyers,
    revenue
FROM report.products
CROSS JOIN (SELECT zone FROM report.last_refresh) AS refreshed
ORDER BY revenue DESC, products.feed, products.currency, products.product_id
LIMIT 20001;

-- name: categories :: a feed, currency and category a row
SELECT
    left(feed, 1000) AS feed,
    left(currency, 1000) AS currency,
    left(category, 1000) AS category,
    purchases,
    cancellations,
    units,
    revenue
FROM report.categories
ORDER BY revenue DESC, categories.feed, categories.currency, categories.category
LIMIT 20001;

-- name: payment_methods :: a feed, currency and way to pay a row
SELECT
    left(feed, 1000) AS feed,
    left(currency, 1000) AS currency,
    left(payment_method, 1000) AS payment_method,
    purchases,
    revenue
FROM report.payment_methods AS methods
ORDER BY revenue DESC, methods.feed, methods.currency, methods.payment_method
LIMIT 20001;

-- name: customers_by_day :: a feed and day a row
SELECT left(feed, 1000) AS feed, day::text AS day, new_customers, returning_customers
FROM report.customers_by_day AS days
ORDER BY days.day DESC, days.feed
LIMIT 20001;

-- name: cohorts :: a feed, month of the first purchase and month a row
SELECT left(feed, 1000) AS feed, cohort::text AS cohort, month::text AS month, customers, purchases
FROM report.cohorts
ORDER BY cohorts.cohort DESC, cohorts.month, cohorts.feed
LIMIT 20001;

-- name: bought_together :: a feed and pair of products a row
SELECT
    left(feed, 1000) AS feed,
    left(product_id, 1000) AS product_id,
    left(other_product_id, 1000) AS other_product_id,
    orders
FROM report.bought_together AS pairs
ORDER BY orders DESC, pairs.feed, pairs.product_id, pairs.other_product_id
LIMIT 20001;

-- name: abandoned_carts :: a feed and day a row
SELECT left(feed, 1000) AS feed, day::text AS day, carts, abandoned, abandoned_value
FROM report.abandoned_carts AS days
ORDER BY days.day DESC, days.feed
LIMIT 20001;

-- name: searches :: a feed and query a row
SELECT
    left(feed, 1000) AS feed,
    left(query, 1000) AS query,
    searches,
    without_result,
    users,
    sessions,
    carted,
    bought
FROM report.searches
ORDER BY searches DESC, searches.feed, searches.query
LIMIT 20001;

-- name: searches_without_result :: a feed and query a row
SELECT
    left(feed, 1000) AS feed,
    left(search_query, 1000) AS search_query,
    searches,
    users,
    (last_searched_at AT TIME ZONE zone)::text AS last_searched_at
FROM report.searches_without_result AS missed
CROSS JOIN (SELECT zone FROM report.last_refresh) AS refreshed
ORDER BY searches DESC, missed.feed, missed.search_query
LIMIT 20001;
