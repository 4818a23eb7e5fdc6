-- A step cannot have more sessions than there are, nor a conversion be outside of 0 to 1; no row when there are no
-- sessions.
WITH sessions AS (
    SELECT count(*) AS counted FROM report_staging.sessions__next
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
LEFT JOIN report_staging.funnel__next AS funnel ON true;
