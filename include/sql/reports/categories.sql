-- report: A category of products a row, by feed and currency; what names none is 'none'
-- key: feed, currency, category
-- of: sales

-- name: rows :: the report
SELECT
    feed,
    currency,
    coalesce(category, 'none') AS category,
    sum(purchases)::bigint AS purchases,
    sum(cancellations)::bigint AS cancellations,
    sum(units) AS units,
    sum(revenue) AS revenue
FROM {sales} AS sales
GROUP BY feed, currency, 3;
