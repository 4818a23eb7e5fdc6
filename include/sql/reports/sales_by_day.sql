-- report: A day of the shop's zone on which something was bought or cancelled a row, by feed and currency
-- key: feed, currency, day
-- of: sales
-- whole: feed, currency, local_day

-- name: rows :: the report
SELECT
    feed,
    currency,
    local_day AS day,
    sum(purchases)::bigint AS purchases,
    sum(cancellations)::bigint AS cancellations,
    sum(units) AS units,
    count(DISTINCT user_id) FILTER (WHERE purchases > 0) AS buyers,
    sum(revenue) AS revenue
FROM {sales} AS sales
GROUP BY feed, currency, local_day;
