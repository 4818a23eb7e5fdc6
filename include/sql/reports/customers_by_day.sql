-- report: A day of the shop's zone on which users bought a row, by feed: users who had never bought before, and others
-- key: feed, day
-- of: sales
-- whole: feed, user_id

-- name: rows :: the report
SELECT
    feed,
    day,
    count(*) FILTER (WHERE day = first_day) AS new_customers,
    count(*) FILTER (WHERE day > first_day) AS returning_customers
FROM (
    SELECT feed, local_day AS day, min(local_day) OVER (PARTITION BY feed, user_id) AS first_day
    FROM {sales} AS sales
    WHERE purchases > 0 AND user_id IS NOT NULL
    GROUP BY feed, user_id, local_day
) AS bought
GROUP BY feed, day;
