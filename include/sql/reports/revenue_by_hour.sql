-- report: An hour of the shop's zone in which something was bought or cancelled a row, by feed and currency
-- key: feed, currency, hour
-- of: sales
-- whole: feed, currency, hour

-- name: rows :: the report
SELECT
    feed,
    currency,
    hour,
    sum(purchases)::bigint AS purchases,
    sum(cancellations)::bigint AS cancellations,
    sum(units) AS units,
    count(DISTINCT user_id) FILTER (WHERE purchases > 0) AS buyers,
    sum(revenue) AS revenue
FROM {sales} AS sales
GROUP BY feed, currency, hour;
