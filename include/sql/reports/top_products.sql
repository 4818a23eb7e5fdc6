-- view: A product a row, among the first hundred of its feed and currency by revenue, by units or by buyers
-- after: products

-- name: rows :: the view
SELECT *
FROM (
    SELECT
        feed,
        currency,
        product_id,
        category,
        revenue,
        units,
        buyers,
        row_number() OVER (PARTITION BY feed, currency ORDER BY revenue DESC, product_id) AS rank_by_revenue,
        row_number() OVER (PARTITION BY feed, currency ORDER BY units DESC, product_id) AS rank_by_units,
        row_number() OVER (PARTITION BY feed, currency ORDER BY buyers DESC, product_id) AS rank_by_buyers
    FROM {products}
    WHERE purchases > 0
) AS ranked
WHERE least(rank_by_revenue, rank_by_units, rank_by_buyers) <= 100;
