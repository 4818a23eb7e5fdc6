-- report: What was looked for and not found a row, without regard to case and outer blanks
-- key: search_query

-- name: rows :: the report
SELECT
    lower(btrim(search_query)) AS search_query,
    count(*) AS searches,
    count(DISTINCT user_id) AS users,
    max(event_time) AS last_searched_at
FROM public.events
WHERE event_type = 'search' AND search_results_count = 0 AND search_query IS NOT NULL
GROUP BY 1;
