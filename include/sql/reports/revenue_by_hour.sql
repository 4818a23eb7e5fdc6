-- report: An hour (UTC) a row, in which something was bought or cancelled
-- key: hour
-- after: sales

-- name: rows :: the report
SELECT
    date_trunc('hour', event_time, 'UTC') AS hour,
    count(*) FILTER (WHERE event_type = 'purchase') AS purchases,
    count(*) FILTER (WHERE event_type = 'cancellation') AS cancellations,
    sum(units) AS units,
    count(DISTINCT user_id) FILTER (WHERE event_type = 'purchase') AS buyers,
    sum(amount) AS revenue
FROM {sales}
GROUP BY 1;

-- name: check :: its revenue and sales add up to those of `events`, counted apart on the same snapshot
WITH by_hour AS (
    SELECT coalesce(sum(revenue), 0) AS revenue, coalesce(sum(purchases + cancellations), 0) AS sales
    FROM {revenue_by_hour}
)
SELECT
    by_hour.revenue = control.revenue AS hours_add_up_to_events,
    by_hour.sales = control.sales AS no_sale_is_missing,
    by_hour.revenue::text AS revenue_of_hours,
    control.revenue::text AS revenue_of_events
FROM by_hour
CROSS JOIN {last_refresh} AS control;
