-- name: refresh :: one row
SELECT date_trunc('second', as_of AT TIME ZONE 'UTC')::text AS as_of, events, sales, revenue FROM report.last_refresh;

-- name: funnel :: one row, none when there are no sessions
SELECT sessions, viewed, carted, bought, view_to_cart, cart_to_buy, view_to_buy FROM report.funnel;

-- name: best_products :: three rows at most
SELECT product_id, category, revenue, units, buyers
FROM report.top_products
ORDER BY rank_by_revenue
LIMIT 3;

-- name: latest_hours :: six rows at most, the latest first; moments as text, for no client knows all that PostgreSQL has
SELECT (hour AT TIME ZONE 'UTC')::text AS hour, purchases, revenue
FROM report.revenue_by_hour
ORDER BY revenue_by_hour.hour DESC
LIMIT 6;

-- name: published :: one row
SELECT EXISTS (SELECT FROM report.last_refresh) AS published;
