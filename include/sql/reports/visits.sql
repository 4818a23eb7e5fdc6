-- cells: A session and user, a feed and a UTC day a row: what they saw, put into the cart and bought; events without either are there too
-- find: session_id, user_id
-- within: session_id, user_id

-- name: rows :: the cells
SELECT
    feed,
    unit,
    session_id,
    user_id,
    min(event_time) AS first_seen,
    max(event_time) AS last_seen,
    min(local_day) AS first_day,
    count(*) AS events,
    count(*) FILTER (WHERE event_type = 'product_view') AS views,
    count(*) FILTER (WHERE event_type = 'add_to_cart') AS carts,
    count(*) FILTER (WHERE is_purchase) AS purchases,
    count(*) FILTER (WHERE is_cancellation) AS cancellations,
    -- What lay in the cart, taken out again or bought: an abandoned cart is worth so much.
    coalesce(sum(
        CASE event_type WHEN 'add_to_cart' THEN 1 WHEN 'remove_from_cart' THEN -1 END * price * coalesce(quantity, 1)
    ), 0) AS cart_value,
    coalesce(sum(amount), 0) AS revenue
FROM {events} AS events
GROUP BY feed, unit, session_id, user_id;

-- name: check :: its events and sales add up to those of the days, counted apart
SELECT cells.events = counted.events AS events_add_up, cells.sales = counted.sales AS sales_add_up
FROM (SELECT coalesce(sum(events), 0) AS events, coalesce(sum(purchases + cancellations), 0) AS sales FROM {visits}) AS cells
CROSS JOIN (
    SELECT count(*) AS events, count(*) FILTER (WHERE is_purchase OR is_cancellation) AS sales FROM {events} AS events
) AS counted;
