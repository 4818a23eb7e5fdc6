-- view: A product that any event names a row, by feed and currency; category is the last by name where events differ
-- after: product_figures, product_buyers

-- name: rows :: the view
SELECT figures.*, coalesce(buyers, 0)::bigint AS buyers
FROM {product_figures} AS figures
LEFT JOIN {product_buyers} AS bought USING (feed, currency, product_id);
