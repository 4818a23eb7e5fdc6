DROP TABLE IF EXISTS report_staging.revenue_by_hour__next;
CREATE UNLOGGED TABLE report_staging.revenue_by_hour__next AS
SELECT
    date_trunc('hour', event_time, 'UTC') AS hour,
    count(*) FILTER (WHERE event_type = 'purchase') AS purchases,
    count(*) FILTER (WHERE event_type = 'cancellation') AS cancellations,
    sum(units) AS units,
    count(DISTINCT user_id) FILTER (WHERE event_type = 'purchase') AS buyers,
    sum(amount) AS revenue
FROM report_staging.sales__next
GROUP BY 1;
