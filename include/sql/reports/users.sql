DROP TABLE IF EXISTS report_staging.users__next;
CREATE UNLOGGED TABLE report_staging.users__next AS
WITH sold AS (
    SELECT user_id, sum(amount) AS revenue
    FROM report_staging.sales__next
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
    FROM report_staging.visits__next
    WHERE user_id IS NOT NULL
    GROUP BY user_id
)
SELECT visited.*, coalesce(sold.revenue, 0) AS revenue
FROM visited
LEFT JOIN sold USING (user_id);
