-- report: A payment method a row, by feed and currency; what names none is 'none'
-- key: feed, currency, payment_method
-- of: sales

-- name: rows :: the report
SELECT
    feed,
    currency,
    coalesce(payment_method, 'none') AS payment_method,
    sum(purchases)::bigint AS purchases,
    sum(cancellations)::bigint AS cancellations,
    sum(revenue) AS revenue
FROM {sales} AS sales
GROUP BY feed, currency, 3;
