-- step: A session and user a row: the one pass over events that sessions and users are both made from

-- name: rows :: its rows
SELECT
    session_id,
    user_id,
    min(event_time) AS first_seen,
    max(event_time) AS last_seen,
    count(*) AS events,
    count(*) FILTER (WHERE event_type = 'product_view') AS views,
    count(*) FILTER (WHERE event_type = 'add_to_cart') AS carts,
    count(*) FILTER (WHERE event_type = 'purchase') AS purchases
FROM public.events
GROUP BY session_id, user_id;
