-- report: A weekday (1 is Monday) and hour of the shop's zone a row, by feed and currency
-- key: feed, currency, weekday, hour
-- of: sales

-- name: rows :: the report
SELECT
    feed,
    currency,
    extract(isodow FROM local_day)::integer AS weekday,
    hour_of_day AS hour,
    sum(purchases)::bigint AS purchases,
    sum(units) AS units,
    sum(revenue) AS revenue
FROM {sales} AS sales
WHERE isfinite(local_day)
GROUP BY feed, currency, 3, hour_of_day;
