-- view: What was looked for a row, by feed, without regard to case and outer blanks; and what became of the sessions that did
-- after: search_counts, search_users, search_outcomes

-- name: rows :: the view
SELECT
    counts.feed,
    counts.query,
    counts.searches,
    counts.without_result,
    coalesce(users, 0) AS users,
    coalesce(sessions, 0) AS sessions,
    coalesce(carted, 0) AS carted,
    coalesce(bought, 0) AS bought
FROM {search_counts} AS counts
LEFT JOIN {search_users} AS looked USING (feed, query)
LEFT JOIN {search_outcomes} AS outcomes USING (feed, query);
