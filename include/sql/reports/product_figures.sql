-- report: What report.products is made of: a product a row, by feed and currency, without its buyers
-- key: feed, currency, product_id
-- of: product_days
-- least: lowest_price, first_seen
-- greatest: category, highest_price, last_seen

-- name: rows :: the report
SELECT
    feed,
    currency,
    product_id,
    max(category) AS category,
    min(lowest_price) AS lowest_price,
    max(highest_price) AS highest_price,
    min(first_seen) AS first_seen,
    max(last_seen) AS last_seen,
    sum(events)::bigint AS events,
    sum(views)::bigint AS views,
    sum(carts)::bigint AS carts,
    sum(purchases)::bigint AS purchases,
    sum(units) AS units,
    sum(revenue) AS revenue
FROM {product_days} AS product_days
GROUP BY feed, currency, product_id;
