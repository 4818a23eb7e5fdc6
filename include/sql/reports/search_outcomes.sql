-- report: What report.searches is made of: how many sessions looked for it, and how many of these carted or bought something
-- key: feed, query
-- of: lookups, visits
-- whole: feed, session_id

-- name: rows :: the report
SELECT
    looked.feed,
    looked.query,
    count(*) AS sessions,
    count(*) FILTER (WHERE carted) AS carted,
    count(*) FILTER (WHERE bought) AS bought
FROM (SELECT DISTINCT feed, session_id, query FROM {lookups} AS lookups WHERE session_id IS NOT NULL) AS looked
JOIN (
    SELECT feed, session_id, sum(carts) > 0 AS carted, sum(purchases) > 0 AS bought
    FROM {visits} AS visits
    WHERE session_id IS NOT NULL
    GROUP BY feed, session_id
) AS led_to USING (feed, session_id)
GROUP BY looked.feed, looked.query;
