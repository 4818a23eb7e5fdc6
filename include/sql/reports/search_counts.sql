-- report: What report.searches is made of: what was looked for a row, by feed: how often, and how often nothing was found
-- key: feed, query
-- of: lookups
-- greatest: last_without_result_at

-- name: rows :: the report
SELECT
    feed,
    query,
    sum(searches)::bigint AS searches,
    sum(without_result)::bigint AS without_result,
    max(last_without_result_at) AS last_without_result_at
FROM {lookups} AS lookups
GROUP BY feed, query;
