-- cells: A product and currency, a feed and a UTC day a row: how often it was seen, put into the cart and bought
-- find: product_id
-- within: product_id

-- name: rows :: the cells
SELECT
    feed,
    unit,
    currency,
    product_id,
    max(category) AS category,
    min(price) AS lowest_price,
    max(price) AS highest_price,
    min(event_time) AS first_seen,
    max(event_time) AS last_seen,
    count(*) AS events,
    count(*) FILTER (WHERE event_type = 'product_view') AS views,
    count(*) FILTER (WHERE event_type = 'add_to_cart') AS carts,
    count(*) FILTER (WHERE is_purchase) AS purchases,
    coalesce(sum(units), 0) AS units,
    coalesce(sum(amount), 0) AS revenue
FROM {events} AS events
WHERE product_id IS NOT NULL
GROUP BY feed, unit, currency, product_id;

-- name: check :: its events add up to those of the days that name a product, counted apart
SELECT
    (SELECT coalesce(sum(events), 0) FROM {product_days})
    = (SELECT count(*) FROM {events} AS events WHERE product_id IS NOT NULL) AS events_add_up;
