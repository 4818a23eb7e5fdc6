-- No key is there twice or missing.
SELECT
    NOT EXISTS (SELECT hour FROM report_staging.revenue_by_hour__next GROUP BY hour HAVING count(hour) <> 1)
        AS hours_are_unique,
    NOT EXISTS (SELECT product_id FROM report_staging.top_products__next GROUP BY product_id HAVING count(product_id) <> 1)
        AS top_products_are_unique,
    NOT EXISTS (
        SELECT search_query FROM report_staging.searches_without_result__next
        GROUP BY search_query HAVING count(search_query) <> 1
    )
        AS searches_are_unique,
    NOT EXISTS (SELECT user_id FROM report_staging.users__next GROUP BY user_id HAVING count(user_id) <> 1)
        AS users_are_unique,
    NOT EXISTS (SELECT product_id FROM report_staging.products__next GROUP BY product_id HAVING count(product_id) <> 1)
        AS products_are_unique,
    NOT EXISTS (SELECT session_id FROM report_staging.sessions__next GROUP BY session_id HAVING count(session_id) <> 1)
        AS sessions_are_unique;
