-- report: One row: the run that published, the moment its numbers are of, and their control totals
-- key: none

-- What the reports must add up to, counted straight from events. The amount of a sale is said here a second time (see
-- sales.sql), so that a mistake in one of them shows.

-- name: rows :: the report
SELECT
    {run_id}::text AS built_by,
    now() AS as_of,
    (SELECT count(*) FROM ledger.audit WHERE action IN ('unload', 'merge')) AS unloads,
    count(*) AS events,
    count(session_id) AS events_of_sessions,
    count(user_id) AS events_of_users,
    count(product_id) AS events_of_products,
    count(*) FILTER (WHERE event_type IN ('purchase', 'cancellation')) AS sales,
    coalesce(
        sum(coalesce(total_amount, price * coalesce(quantity, 1))) FILTER (WHERE event_type = 'purchase'), 0
    )
    + coalesce(
        sum(coalesce(total_amount, price * coalesce(quantity, -1))) FILTER (WHERE event_type = 'cancellation'), 0
    ) AS revenue
FROM public.events;
