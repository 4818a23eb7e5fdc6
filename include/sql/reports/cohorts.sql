-- report: A month in which users bought for the first time, and a month in which they bought, a row, by feed; months are the shop's
-- key: feed, cohort, month
-- of: sales
-- whole: feed, user_id

-- name: rows :: the report
-- PostgreSQL knows a few days of a month whose begin it does not know.
SELECT feed, cohort, month, count(*) AS customers, sum(purchases)::bigint AS purchases
FROM (
    SELECT
        feed,
        month,
        min(month) OVER (PARTITION BY feed, user_id) AS cohort,
        sum(purchases)::bigint AS purchases
    FROM (
        SELECT
            feed,
            user_id,
            date_trunc('month', greatest(local_day, '4713-01-01 BC')::timestamp)::date AS month,
            purchases
        FROM {sales} AS sales
        WHERE purchases > 0 AND user_id IS NOT NULL
    ) AS sold
    GROUP BY feed, user_id, month
) AS bought
GROUP BY feed, cohort, month;
