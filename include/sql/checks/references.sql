-- What one report names, the other knows. Sets, not joins: with EXISTS over a join the planner hopes to stop early, and
-- here there is nothing to find.
SELECT
    NOT EXISTS (
        SELECT product_id, revenue FROM report_staging.top_products__next
        EXCEPT
        SELECT product_id, revenue FROM report_staging.products__next
    ) AS every_top_product_is_a_product,
    NOT EXISTS (
        SELECT user_id FROM report_staging.sessions__next WHERE user_id IS NOT NULL
        EXCEPT
        SELECT user_id FROM report_staging.users__next
    ) AS every_session_is_of_a_known_user;
