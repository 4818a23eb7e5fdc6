-- report: A user a row
-- key: user_id
-- after: sales, visits

-- name: rows :: the report
WITH sold AS (
    SELECT user_id, sum(amount) AS revenue
    FROM {sales}
    WHERE user_id IS NOT NULL
    GROUP BY user_id
),
visited AS (
    SELECT
        user_id,
        min(first_seen) AS first_seen,
        max(last_seen) AS last_seen,
        count(session_id) AS sessions,
        sum(events)::bigint AS events,
        sum(views)::bigint AS views,
        sum(carts)::bigint AS carts,
        sum(purchases)::bigint AS purchases
    FROM {visits}
    WHERE user_id IS NOT NULL
    GROUP BY user_id
)
SELECT visited.*, coalesce(sold.revenue, 0) AS revenue
FROM visited
LEFT JOIN sold USING (user_id);

-- name: check :: its events add up to those of users, counted apart
SELECT (SELECT coalesce(sum(events), 0) FROM {users}) = control.events_of_users AS users_add_up_to_events
FROM {last_refresh} AS control;
