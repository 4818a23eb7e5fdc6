-- One transaction: rows that are gone or differ go, rows that are new or differ come. Whoever reads sees all of the last
-- refresh or all of this one, at every isolation level. The staging tables go with it; a failed check leaves them to be
-- looked at.
SET LOCAL idle_in_transaction_session_timeout = '60s';
LOCK TABLE report.last_refresh IN SHARE ROW EXCLUSIVE MODE;

-- The checks vouch for the tables that this run built. A server that crashed since has emptied them.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM report_staging.last_refresh__next WHERE built_by = '{{ run_id }}') THEN
        RAISE EXCEPTION 'the checked staging tables of this run were replaced or emptied: run report_sales again';
    END IF;
    -- A file was unloaded meanwhile: what was built before it has rows that are gone. The audit only grows, so its
    -- count tells, whatever the clock does, and whether or not that unload could refresh the reports.
    IF EXISTS (
        SELECT FROM report_staging.last_refresh__next
        WHERE unloads <> (SELECT count(*) FROM ledger.audit WHERE action = 'unload')
    ) THEN
        RAISE EXCEPTION 'a file was unloaded after the tables of this run were built: run report_sales again'
            USING ERRCODE = 'serialization_failure';
    END IF;
END
$$;

DELETE FROM report.revenue_by_hour AS published
USING (TABLE report.revenue_by_hour EXCEPT TABLE report_staging.revenue_by_hour__next) AS outdated
WHERE published.hour = outdated.hour;
INSERT INTO report.revenue_by_hour
TABLE report_staging.revenue_by_hour__next EXCEPT TABLE report.revenue_by_hour;

DELETE FROM report.top_products AS published
USING (TABLE report.top_products EXCEPT TABLE report_staging.top_products__next) AS outdated
WHERE published.product_id = outdated.product_id;
INSERT INTO report.top_products
TABLE report_staging.top_products__next EXCEPT TABLE report.top_products;

DELETE FROM report.searches_without_result AS published
USING (TABLE report.searches_without_result EXCEPT TABLE report_staging.searches_without_result__next) AS outdated
WHERE published.search_query = outdated.search_query;
INSERT INTO report.searches_without_result
TABLE report_staging.searches_without_result__next EXCEPT TABLE report.searches_without_result;

DELETE FROM report.users AS published
USING (TABLE report.users EXCEPT TABLE report_staging.users__next) AS outdated
WHERE published.user_id = outdated.user_id;
INSERT INTO report.users
TABLE report_staging.users__next EXCEPT TABLE report.users;

DELETE FROM report.products AS published
USING (TABLE report.products EXCEPT TABLE report_staging.products__next) AS outdated
WHERE published.product_id = outdated.product_id;
INSERT INTO report.products
TABLE report_staging.products__next EXCEPT TABLE report.products;

DELETE FROM report.sessions AS published
USING (TABLE report.sessions EXCEPT TABLE report_staging.sessions__next) AS outdated
WHERE published.session_id = outdated.session_id;
INSERT INTO report.sessions
TABLE report_staging.sessions__next EXCEPT TABLE report.sessions;

DELETE FROM report.funnel;
INSERT INTO report.funnel TABLE report_staging.funnel__next;

DELETE FROM report.last_refresh;
INSERT INTO report.last_refresh
SELECT built_by, as_of, unloads, events, events_of_sessions, events_of_users, events_of_products, sales, revenue
FROM report_staging.last_refresh__next;

DROP TABLE
    report_staging.last_refresh__next, report_staging.sales__next, report_staging.visits__next, report_staging.sessions__next, report_staging.users__next,
    report_staging.products__next, report_staging.revenue_by_hour__next, report_staging.funnel__next, report_staging.top_products__next,
    report_staging.searches_without_result__next;
