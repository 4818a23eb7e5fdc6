-- view: The shop's own days a row, by currency: the sum of its feeds, as report.feeds names them
-- after: sales_by_day, orders_by_day

-- Buyers are counted in each feed: nobody knows whether a user of one is a user of another.

-- name: rows :: the view
SELECT
    currency,
    day,
    sum(purchases)::bigint AS purchases,
    sum(cancellations)::bigint AS cancellations,
    sum(sales.units) AS units,
    sum(coalesce(orders, 0))::bigint AS orders,
    sum(buyers)::bigint AS buyers,
    sum(sales.revenue) AS revenue
FROM {sales_by_day} AS sales
LEFT JOIN {orders_by_day} AS ordered USING (feed, currency, day)
JOIN (SELECT feed FROM report.feeds WHERE is_of_shop) AS of_shop USING (feed)
GROUP BY currency, day;
