-- The checks and the publishing join what nobody has seen before: without statistics their plans are a guess.
ANALYZE
    report.sessions__next, report.users__next, report.products__next, report.revenue_by_hour__next,
    report.top_products__next, report.searches_without_result__next;
