-- report: A day of the shop's zone on which orders began a row, by feed and currency: an order is what one session buys, without one what one user buys on a day
-- key: feed, currency, day
-- of: sales
-- whole: feed, basket

-- name: rows :: the report
SELECT
    feed,
    currency,
    day,
    count(*) AS orders,
    sum(products)::bigint AS products,
    sum(units) AS units,
    sum(revenue) AS revenue
FROM (
    SELECT
        feed,
        currency,
        min(local_day) AS day,
        count(DISTINCT product_id) AS products,
        sum(units_bought) AS units,
        sum(amount_bought) AS revenue
    FROM {sales} AS sales
    WHERE purchases > 0
    GROUP BY feed, currency, basket
) AS orders
GROUP BY feed, currency, day;
