-- report: A day of the shop's zone on which sessions began a row, by feed: how many of them viewed, carted, bought
-- key: feed, day
-- of: visits
-- whole: feed, session_id

-- name: rows :: the report
SELECT
    feed,
    day,
    count(*) AS sessions,
    count(*) FILTER (WHERE viewed) AS viewed,
    count(*) FILTER (WHERE carted) AS carted,
    count(*) FILTER (WHERE bought) AS bought,
    count(*) FILTER (WHERE viewed AND carted) AS viewed_and_carted,
    count(*) FILTER (WHERE carted AND bought) AS carted_and_bought,
    count(*) FILTER (WHERE viewed AND bought) AS viewed_and_bought
FROM (
    SELECT
        feed,
        min(first_day) AS day,
        sum(views) > 0 AS viewed,
        sum(carts) > 0 AS carted,
        sum(purchases) > 0 AS bought
    FROM {visits} AS visits
    WHERE session_id IS NOT NULL
    GROUP BY feed, session_id
) AS sessions
GROUP BY feed, day;
