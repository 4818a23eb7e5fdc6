DROP TABLE IF EXISTS report_staging.sessions__next;
CREATE UNLOGGED TABLE report_staging.sessions__next AS
WITH sold AS (
    SELECT session_id, sum(amount) AS revenue
    FROM report_staging.sales__next
    WHERE session_id IS NOT NULL
    GROUP BY session_id
),
visited AS (
    SELECT
        session_id,
        min(user_id) AS user_id,
        min(first_seen) AS started_at,
        max(last_seen) AS ended_at,
        sum(events)::bigint AS events,
        sum(views)::bigint AS views,
        sum(carts)::bigint AS carts,
        sum(purchases)::bigint AS purchases
    FROM report_staging.visits__next
    WHERE session_id IS NOT NULL
    GROUP BY session_id
)
SELECT visited.*, coalesce(sold.revenue, 0) AS revenue
FROM visited
LEFT JOIN sold USING (session_id);
