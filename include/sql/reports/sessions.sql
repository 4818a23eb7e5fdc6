-- report: A session a row; events without a session are in no row
-- key: session_id
-- after: sales, visits, users

-- name: rows :: the report
WITH sold AS (
    SELECT session_id, sum(amount) AS revenue
    FROM {sales}
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
    FROM {visits}
    WHERE session_id IS NOT NULL
    GROUP BY session_id
)
SELECT visited.*, coalesce(sold.revenue, 0) AS revenue
FROM visited
LEFT JOIN sold USING (session_id);

-- name: check :: its events add up to those of sessions, counted apart; every user of a session is in `report.users`
-- Sets, not joins: with EXISTS over a join the planner hopes to stop early, and here there is nothing to find.
SELECT
    (SELECT coalesce(sum(events), 0) FROM {sessions}) = control.events_of_sessions AS sessions_add_up_to_events,
    NOT EXISTS (
        SELECT user_id FROM {sessions} WHERE user_id IS NOT NULL
        EXCEPT
        SELECT user_id FROM {users}
    ) AS every_session_is_of_a_known_user
FROM {last_refresh} AS control;
