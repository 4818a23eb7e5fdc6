-- Revenue of the hours is the revenue of events, counted apart, on the same snapshot; so is the number of sales.
WITH by_hour AS (
    SELECT coalesce(sum(revenue), 0) AS revenue, coalesce(sum(purchases + cancellations), 0) AS sales
    FROM report_staging.revenue_by_hour__next
)
SELECT
    by_hour.revenue = control.revenue AS hours_add_up_to_events,
    by_hour.sales = control.sales AS no_sale_is_missing,
    by_hour.revenue::text AS revenue_of_hours,
    control.revenue::text AS revenue_of_events
FROM by_hour
CROSS JOIN report_staging.last_refresh__next AS control;
