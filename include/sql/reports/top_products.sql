-- report: A product a row, among the first hundred by revenue, by units or by buyers
-- key: product_id
-- after: products

-- name: rows :: the report
WITH ranked AS (
    SELECT
        product_id,
        category,
        revenue,
        units,
        buyers,
        row_number() OVER (ORDER BY revenue DESC, product_id) AS rank_by_revenue,
        row_number() OVER (ORDER BY units DESC, product_id) AS rank_by_units,
        row_number() OVER (ORDER BY buyers DESC, product_id) AS rank_by_buyers
    FROM {products}
    WHERE purchases > 0
)
SELECT *
FROM ranked
WHERE least(rank_by_revenue, rank_by_units, rank_by_buyers) <= 100;

-- name: check :: every row is in `report.products`, with its revenue
SELECT NOT EXISTS (
    SELECT product_id, revenue FROM {top_products}
    EXCEPT
    SELECT product_id, revenue FROM {products}
) AS every_top_product_is_a_product;
