-- What the files of the reports have made makes room for the tables that the reports of before are published in; the text
-- of views that others built on it is kept.
CREATE TEMPORARY TABLE leaving ON COMMIT DROP AS
SELECT oid, format('%s %s', CASE relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END, oid::regclass) AS old
FROM pg_class
WHERE relnamespace IN ('report'::regnamespace, 'report_cells'::regnamespace)
    AND relkind IN ('r', 'v')
    AND relname NOT IN ('feeds', 'built', 'comparisons');

INSERT INTO ledger.dropped_views (schema_name, view_name, owner, kind, definition)
WITH RECURSIVE above AS (
    SELECT oid FROM leaving
    UNION
    SELECT rewritten.ev_class
    FROM above
    JOIN pg_depend AS needs ON needs.refclassid = 'pg_class'::regclass AND needs.refobjid = above.oid
    JOIN pg_rewrite AS rewritten ON needs.classid = 'pg_rewrite'::regclass AND needs.objid = rewritten.oid
)
SELECT
    relnamespace::regnamespace::text,
    relname,
    relowner::regrole::text,
    CASE relkind WHEN 'v' THEN 'VIEW' ELSE 'MATERIALIZED VIEW' END,
    pg_get_viewdef(oid)
FROM above
JOIN pg_class USING (oid)
WHERE relkind IN ('v', 'm') AND relnamespace <> 'report'::regnamespace;

DO $$
DECLARE
    gone record;
BEGIN
    FOR gone IN SELECT oid, old FROM leaving LOOP
        -- One that stood on another has left with it.
        IF EXISTS (SELECT FROM pg_class WHERE oid = gone.oid) THEN
            EXECUTE format('DROP %s CASCADE', gone.old);
        END IF;
    END LOOP;
END
$$;
DROP TABLE report_cells.comparisons, report_cells.built;

CREATE TABLE report.last_refresh (
    built_by           text PRIMARY KEY,
    as_of              timestamptz NOT NULL,
    unloads            bigint NOT NULL,
    events             bigint NOT NULL,
    events_of_sessions bigint NOT NULL,
    events_of_users    bigint NOT NULL,
    events_of_products bigint NOT NULL,
    sales              bigint NOT NULL,
    revenue            numeric NOT NULL
);
COMMENT ON TABLE report.last_refresh IS 'One row: the run that published, the moment its numbers are of, and their control totals';
COMMENT ON COLUMN report.last_refresh.unloads IS
    'How many unloads of ledger.audit the numbers know of; when there are more, the reports have rows that are gone';

CREATE TABLE report.revenue_by_hour (
    hour          timestamptz PRIMARY KEY,
    purchases     bigint NOT NULL,
    cancellations bigint NOT NULL,
    units         numeric NOT NULL,
    buyers        bigint NOT NULL,
    revenue       numeric NOT NULL
);
COMMENT ON TABLE report.revenue_by_hour IS 'One row an hour (UTC) in which something was bought or cancelled';

CREATE TABLE report.funnel (
    sessions     bigint NOT NULL,
    viewed       bigint NOT NULL,
    carted       bigint NOT NULL,
    bought       bigint NOT NULL,
    view_to_cart numeric,
    cart_to_buy  numeric,
    view_to_buy  numeric
);
COMMENT ON TABLE report.funnel IS
    'One row: sessions that viewed, carted, bought; and the share (0 to 1) of those of one step that also took the other';

CREATE TABLE report.top_products (
    product_id      text NOT NULL,
    category        text,
    revenue         numeric NOT NULL,
    units           numeric NOT NULL,
    buyers          bigint NOT NULL,
    rank_by_revenue bigint NOT NULL,
    rank_by_units   bigint NOT NULL,
    rank_by_buyers  bigint NOT NULL,
    EXCLUDE USING hash (product_id WITH =)
);
COMMENT ON TABLE report.top_products IS 'The products among the first hundred by revenue, by units or by buyers';

CREATE TABLE report.searches_without_result (
    search_query     text NOT NULL,
    searches         bigint NOT NULL,
    users            bigint NOT NULL,
    last_searched_at timestamptz NOT NULL,
    EXCLUDE USING hash (search_query WITH =)
);
COMMENT ON TABLE report.searches_without_result IS 'What was looked for and not found, without regard to case and outer blanks';

CREATE TABLE report.users (
    user_id    text NOT NULL,
    first_seen timestamptz NOT NULL,
    last_seen  timestamptz NOT NULL,
    sessions   bigint NOT NULL,
    events     bigint NOT NULL,
    views      bigint NOT NULL,
    carts      bigint NOT NULL,
    purchases  bigint NOT NULL,
    revenue    numeric NOT NULL,
    EXCLUDE USING hash (user_id WITH =)
);
COMMENT ON TABLE report.users IS 'One row a user';

CREATE TABLE report.products (
    product_id    text NOT NULL,
    category      text,
    lowest_price  numeric,
    highest_price numeric,
    first_seen    timestamptz NOT NULL,
    last_seen     timestamptz NOT NULL,
    events        bigint NOT NULL,
    views         bigint NOT NULL,
    carts         bigint NOT NULL,
    purchases     bigint NOT NULL,
    units         numeric NOT NULL,
    buyers        bigint NOT NULL,
    revenue       numeric NOT NULL,
    EXCLUDE USING hash (product_id WITH =)
);
COMMENT ON TABLE report.products IS 'One row a product that any event names; category is the last by name where events differ';

CREATE TABLE report.sessions (
    session_id text NOT NULL,
    user_id    text,
    started_at timestamptz NOT NULL,
    ended_at   timestamptz NOT NULL,
    events     bigint NOT NULL,
    views      bigint NOT NULL,
    carts      bigint NOT NULL,
    purchases  bigint NOT NULL,
    revenue    numeric NOT NULL,
    EXCLUDE USING hash (session_id WITH =)
);
COMMENT ON TABLE report.sessions IS 'One row a session; events without a session are in no row';

-- What the reader builds before it publishes. Nothing in here is read or run by the owner or the writer.
CREATE SCHEMA report_staging;

CREATE INDEX audit_of_withdrawals ON ledger.audit (audit_id) WHERE action IN ('unload', 'merge');

CREATE OR REPLACE FUNCTION ledger.drop_month(of_month text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM ledger.hold_month(of_month);
    EXECUTE format('DROP TABLE public.%I', of_month);
END
$$;
