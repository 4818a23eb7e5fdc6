-- report: One row: sessions that viewed, carted, bought; the share (0 to 1) of those of one step that also took the other
-- key: none
-- after: sessions

-- Some feeds hold sessions that buy without a cart, or were cut before their first view: the steps are counted as they
-- are, and a conversion is the share of the sessions of one step that took the other too.

-- name: rows :: the report
WITH stepped AS (
    SELECT views > 0 AS viewed, carts > 0 AS carted, purchases > 0 AS bought
    FROM {sessions}
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

-- name: check :: one row unless there are no sessions; no step has more sessions than there are; shares are within 0 and 1
WITH sessions AS (
    SELECT count(*) AS counted FROM {sessions}
)
SELECT
    count(funnel.sessions) = least(max(sessions.counted), 1) AS one_row_unless_there_are_no_sessions,
    count(*) FILTER (WHERE funnel.sessions <> sessions.counted) = 0 AS every_session_is_counted,
    count(*) FILTER (WHERE greatest(viewed, carted, bought) > funnel.sessions OR least(viewed, carted, bought) < 0) = 0
        AS steps_are_within_sessions,
    count(*) FILTER (
        WHERE greatest(view_to_cart, cart_to_buy, view_to_buy) > 1 OR least(view_to_cart, cart_to_buy, view_to_buy) < 0
    ) = 0 AS conversions_are_between_0_and_1
FROM sessions
LEFT JOIN {funnel} AS funnel ON true;
