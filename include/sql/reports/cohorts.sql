-- report: A month in which users bought for the first time, and a month in which they bought, a row, by feed; months are the shop's
-- key: feed, cohort, month
-- of: sales
-- whole: feed, user_id

-- name: rows :: the report
SELECT feed, cohort, month, count(*) AS customers, sum(purchases)::bigint AS purchases
FROM (
    SELECT
        feed,
        date_trunc('month', local_day::timestamp)::date AS month,
        min(date_trunc('month', local_day::timestamp)::date) OVER (PARTITION BY feed, user_id) AS cohort,
        sum(purchases)::bigint AS purchases
    FROM {sales} AS sales
    -- The first day that PostgreSQL knows has no first of its month.
    WHERE purchases > 0 AND user_id IS NOT NULL AND local_day >= '4000-01-01 BC'
    GROUP BY feed, user_id, date_trunc('month', local_day::timestamp)
) AS bought
GROUP BY feed, cohort, month;
