-- Some feeds hold sessions that buy without a cart, or were cut before their first view: the steps are counted as they
-- are, and a conversion is the share of the sessions of one step that took the other too.
DROP TABLE IF EXISTS report_staging.funnel__next;
CREATE UNLOGGED TABLE report_staging.funnel__next AS
WITH stepped AS (
    SELECT views > 0 AS viewed, carts > 0 AS carted, purchases > 0 AS bought
    FROM report_staging.sessions__next
),
counted AS (
    SELECT
        count(*) AS sessions,
        count(*) FILTER (WHERE viewed) AS viewed,
        count(*) FILTER (WHERE carted) AS carted,
        count(*) FILTER (WHERE bought) AS bought,
        count(*) FILTER (WHERE viewed AND carted) AS viewed_and_carted,
        count(*) FILTER (WHERE carted AND bought) AS carted_and_bought,
        count(*) FILTER (WHERE viewed AND bought) AS viewed_and_bought
    FROM stepped
)
SELECT
    sessions,
    viewed,
    carted,
    bought,
    round(viewed_and_carted::numeric / nullif(viewed, 0), 4) AS view_to_cart,
    round(carted_and_bought::numeric / nullif(carted, 0), 4) AS cart_to_buy,
    round(viewed_and_bought::numeric / nullif(viewed, 0), 4) AS view_to_buy
FROM counted
WHERE sessions > 0;
