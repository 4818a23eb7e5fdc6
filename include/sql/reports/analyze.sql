-- The checks and the publishing join what nobody has seen before: without statistics their plans are a guess.
ANALYZE
    report_staging.sessions__next, report_staging.users__next, report_staging.products__next, report_staging.revenue_by_hour__next,
    report_staging.top_products__next, report_staging.searches_without_result__next;
