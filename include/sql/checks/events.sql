-- Every event is counted once for its session, its user and its product.
SELECT
    (SELECT coalesce(sum(events), 0) FROM report_staging.sessions__next) = control.events_of_sessions AS sessions_add_up_to_events,
    (SELECT coalesce(sum(events), 0) FROM report_staging.users__next) = control.events_of_users AS users_add_up_to_events,
    (SELECT coalesce(sum(events), 0) FROM report_staging.products__next) = control.events_of_products AS products_add_up_to_events
FROM report_staging.last_refresh__next AS control;
