-- report: A product that any event names a row; category is the last by name where events differ
-- key: product_id
-- after: sales

-- name: rows :: the report
WITH sold AS (
    SELECT
        product_id,
        sum(units) AS units,
        count(DISTINCT user_id) FILTER (WHERE event_type = 'purchase') AS buyers,
        sum(amount) AS revenue
    FROM {sales}
    WHERE product_id IS NOT NULL
    GROUP BY product_id
),
seen AS (
    SELECT
        product_id,
        max(category) AS category,
        min(price) AS lowest_price,
        max(price) AS highest_price,
        min(event_time) AS first_seen,
        max(event_time) AS last_seen,
        count(*) AS events,
        count(*) FILTER (WHERE event_type = 'product_view') AS views,
        count(*) FILTER (WHERE event_type = 'add_to_cart') AS carts,
        count(*) FILTER (WHERE event_type = 'purchase') AS purchases
    FROM public.events
    WHERE product_id IS NOT NULL
    GROUP BY product_id
)
SELECT
    seen.*,
    coalesce(sold.units, 0) AS units,
    coalesce(sold.buyers, 0) AS buyers,
    coalesce(sold.revenue, 0) AS revenue
FROM seen
LEFT JOIN sold USING (product_id);

-- name: check :: its events add up to those that name a product, counted apart
SELECT (SELECT coalesce(sum(events), 0) FROM {products}) = control.events_of_products AS products_add_up_to_events
FROM {last_refresh} AS control;
