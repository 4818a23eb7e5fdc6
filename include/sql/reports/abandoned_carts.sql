-- report: A day of the shop's zone on which sessions with a cart began a row, by feed: how many of them bought nothing, and what lay in those carts
-- key: feed, day
-- of: visits
-- whole: feed, session_id

-- name: rows :: the report
SELECT
    feed,
    day,
    count(*) AS carts,
    count(*) FILTER (WHERE NOT bought) AS abandoned,
    coalesce(sum(greatest(cart_value, 0)) FILTER (WHERE NOT bought), 0) AS abandoned_value
FROM (
    SELECT
        feed,
        min(first_day) AS day,
        sum(purchases) > 0 AS bought,
        sum(cart_value) AS cart_value
    FROM {visits} AS visits
    WHERE session_id IS NOT NULL
    GROUP BY feed, session_id
    HAVING sum(carts) > 0
) AS sessions
GROUP BY feed, day;
