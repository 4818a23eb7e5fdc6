-- name: refresh :: one row
SELECT date_trunc('second', as_of AT TIME ZONE 'UTC')::text AS as_of, events, sales, zone FROM report.last_refresh;

-- name: feeds :: a row a feed, those of the shop first
SELECT
    feed,
    coalesce(is_of_shop, true) AS is_of_shop,
    coalesce(is_generated, false) AS is_generated,
    coalesce(currency, '') AS currency,
    events,
    purchases,
    cancellations,
    revenue
FROM report.totals
LEFT JOIN report.feeds USING (feed)
ORDER BY 2 DESC, feed
LIMIT 20;

-- name: funnel :: a row a feed
SELECT feed, sessions, viewed, carted, bought, view_to_cart, cart_to_buy, view_to_buy FROM report.funnel ORDER BY feed LIMIT 20;

-- name: best_products :: three rows at most of each feed and currency
SELECT feed, product_id, category, revenue, units, buyers
FROM report.top_products
WHERE rank_by_revenue <= 3
ORDER BY feed, currency, rank_by_revenue
LIMIT 30;

-- name: latest_days :: three rows at most, the latest first; days as text, for no client knows all that PostgreSQL has
SELECT day::text AS day, currency, purchases, orders, revenue
FROM report.shop_by_day
ORDER BY shop_by_day.day DESC, currency
LIMIT 3;

-- name: published :: one row
SELECT EXISTS (SELECT FROM report.last_refresh) AS published;
