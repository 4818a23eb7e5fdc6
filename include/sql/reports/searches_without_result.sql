-- view: What was looked for and not found a row, by feed, without regard to case and outer blanks
-- after: search_counts, search_users

-- name: rows :: the view
SELECT
    counts.feed,
    counts.query AS search_query,
    counts.without_result AS searches,
    coalesce(users_without_result, 0) AS users,
    counts.last_without_result_at AS last_searched_at
FROM {search_counts} AS counts
LEFT JOIN {search_users} AS looked USING (feed, query)
WHERE counts.without_result > 0;
