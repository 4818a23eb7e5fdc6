-- view: A session a row, by feed; events without a session are in no row
-- after: visits

-- name: rows :: the view
SELECT
    feed,
    session_id,
    min(user_id) AS user_id,
    min(first_seen) AS started_at,
    max(last_seen) AS ended_at,
    sum(events)::bigint AS events,
    sum(views)::bigint AS views,
    sum(carts)::bigint AS carts,
    sum(purchases)::bigint AS purchases,
    sum(revenue) AS revenue
FROM {visits}
WHERE session_id IS NOT NULL
GROUP BY feed, session_id;
