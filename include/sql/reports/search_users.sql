-- report: What report.searches is made of: how many users looked for it, and how many of them found nothing
-- key: feed, query
-- of: lookups
-- whole: feed, user_and_query

-- name: rows :: the report
SELECT feed, query, count(*) AS users, count(*) FILTER (WHERE missed) AS users_without_result
FROM (
    SELECT feed, query, sum(without_result) > 0 AS missed
    FROM {lookups} AS lookups
    WHERE user_id IS NOT NULL
    GROUP BY feed, user_id, query
) AS looked
GROUP BY feed, query;
