-- view: A user a row, by feed
-- after: visits

-- name: rows :: the view
SELECT
    feed,
    user_id,
    min(first_seen) AS first_seen,
    max(last_seen) AS last_seen,
    count(DISTINCT session_id) AS sessions,
    sum(events)::bigint AS events,
    sum(views)::bigint AS views,
    sum(carts)::bigint AS carts,
    sum(purchases)::bigint AS purchases,
    sum(revenue) AS revenue
FROM {visits}
WHERE user_id IS NOT NULL
GROUP BY feed, user_id;
