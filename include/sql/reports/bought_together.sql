-- report: Two products that were bought in one order a row, by feed; orders of more than forty products are left out
-- key: feed, product_id, other_product_id
-- of: sales
-- whole: feed, basket

-- Pairs grow with the square of an order: an order of wholesale would be most of the table.

-- name: rows :: the report
SELECT one.feed, one.product_id, other.product_id AS other_product_id, count(*) AS orders
FROM (
    SELECT feed, basket, array_agg(DISTINCT product_id) AS products
    FROM {sales} AS sales
    WHERE purchases > 0 AND product_id IS NOT NULL
    GROUP BY feed, basket
    HAVING count(DISTINCT product_id) BETWEEN 2 AND 40
) AS orders
CROSS JOIN LATERAL (SELECT orders.feed, unnest(products) AS product_id) AS one
CROSS JOIN LATERAL (SELECT unnest(products) AS product_id) AS other
WHERE one.product_id < other.product_id
GROUP BY one.feed, one.product_id, other.product_id;
