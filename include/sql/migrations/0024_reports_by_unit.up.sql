-- Reports are kept up from what changed (docs/decisions/0018-reports-from-what-changed.md). Their tables have other columns
-- now, and some are views: they are made of their files after the migrations, and the first refresh fills them. The text of
-- views that stand on the old ones is kept in ledger.dropped_views, as before.
CREATE TEMPORARY TABLE leaving ON COMMIT DROP AS
SELECT oid, relname
FROM pg_class
WHERE relnamespace = 'report'::regnamespace AND relkind = 'r' AND relname IN (
    'last_refresh', 'revenue_by_hour', 'funnel', 'top_products', 'searches_without_result', 'users', 'products', 'sessions'
);

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
WHERE relkind IN ('v', 'm');

DO $$
DECLARE
    old text;
BEGIN
    FOR old IN SELECT relname FROM leaving LOOP
        EXECUTE format('DROP TABLE report.%I CASCADE', old);
    END LOOP;
END
$$;

-- One row: the last refresh, and what all feeds add up to.
CREATE TABLE report.last_refresh (
    built_by text NOT NULL,
    as_of    timestamptz NOT NULL,
    zone     text NOT NULL,
    changes  bigint NOT NULL,
    seconds  numeric NOT NULL,
    is_whole boolean NOT NULL,
    events   bigint NOT NULL,
    sales    bigint NOT NULL,
    revenue  numeric NOT NULL
);
COMMENT ON TABLE report.last_refresh IS 'One row: who refreshed the reports last, the moment their numbers are of, and what all feeds add up to';
COMMENT ON COLUMN report.last_refresh.is_whole IS 'Whether a report was counted from nothing, which takes longer than what comes after it';

-- What stands: with another digest, or in another zone, it is counted anew.
CREATE TABLE report_cells.built (
    name   text PRIMARY KEY,
    digest text NOT NULL,
    zone   text NOT NULL
);

-- Each night one unit, and one report, are counted again and compared.
CREATE TABLE report_cells.comparisons (
    compared_at timestamptz PRIMARY KEY,
    feed        text NOT NULL,
    unit        date NOT NULL,
    report      text NOT NULL,
    differences jsonb NOT NULL
);

-- Where the reader built reports.
DROP SCHEMA IF EXISTS report_staging CASCADE;

-- Only what told how many unloads the reports of before knew of looked there.
DROP INDEX ledger.audit_of_withdrawals;

-- As before, but not under a refresh: its snapshot has rows that it would look for in vain, and take for gone.
CREATE OR REPLACE FUNCTION ledger.drop_month(of_month text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    LOCK TABLE report.last_refresh IN ROW EXCLUSIVE MODE;
    PERFORM ledger.hold_month(of_month);
    EXECUTE format('DROP TABLE public.%I', of_month);
END
$$;
