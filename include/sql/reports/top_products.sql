DROP TABLE IF EXISTS report_staging.top_products__next;
CREATE UNLOGGED TABLE report_staging.top_products__next AS
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
    FROM report_staging.products__next
    WHERE purchases > 0
)
SELECT *
FROM ranked
WHERE least(rank_by_revenue, rank_by_units, rank_by_buyers) <= 100;
