-- cells: What a session and user looked for, a feed and a UTC day a row, without regard to case and outer blanks
-- find: session_id, user_and_query
-- within: session_id, user_id

-- name: rows :: the cells
SELECT
    feed,
    unit,
    session_id,
    user_id,
    query,
    -- What a user ever looked for is much; what reports count together is what one looked for more than once.
    CASE WHEN user_id IS NOT NULL THEN hash_record_extended(ROW(user_id, query), 0) END AS user_and_query,
    count(*) AS searches,
    count(*) FILTER (WHERE search_results_count = 0) AS without_result,
    max(event_time) FILTER (WHERE search_results_count = 0) AS last_without_result_at
FROM {events} AS events
WHERE event_type = 'search' AND query IS NOT NULL
GROUP BY feed, unit, session_id, user_id, query;

-- name: check :: its searches add up to those of the days, counted apart
SELECT
    (SELECT coalesce(sum(searches), 0) FROM {lookups})
    = (SELECT count(*) FROM {events} AS events WHERE event_type = 'search' AND search_query IS NOT NULL) AS searches_add_up;
