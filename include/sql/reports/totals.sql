-- report: A feed a row: all its events, sales and revenue
-- key: feed
-- of: visits

-- name: rows :: the report
SELECT
    feed,
    sum(events)::bigint AS events,
    sum(purchases)::bigint AS purchases,
    sum(cancellations)::bigint AS cancellations,
    sum(revenue) AS revenue
FROM {visits} AS visits
GROUP BY feed;
