-- report: What report.products is made of: how many users bought a product
-- key: feed, currency, product_id
-- of: sales
-- whole: feed, user_id, product_id

-- name: rows :: the report
SELECT feed, currency, product_id, count(DISTINCT user_id) AS buyers
FROM {sales} AS sales
WHERE purchases > 0 AND product_id IS NOT NULL AND user_id IS NOT NULL
GROUP BY feed, currency, product_id;
