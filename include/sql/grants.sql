-- Applied after every migration. The three roles: the owner migrates, and owns all that is published; the writer moves
-- and loads; the reader reads, and publishes reports. A user's own server may not let us create roles: then all three
-- are its one login.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'sluice_writer') THEN
        CREATE ROLE sluice_writer NOLOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'sluice_reader') THEN
        CREATE ROLE sluice_reader NOLOGIN;
    END IF;
EXCEPTION
    WHEN insufficient_privilege THEN
        RAISE NOTICE 'this login may not create roles: sluice_writer and sluice_reader are left out';
    WHEN duplicate_object OR unique_violation THEN
        NULL;
END
$$;

-- What a superuser has migrated belongs to whoever owns events: functions that run as their owner, above all.
DO $$
DECLARE
    owner constant regrole := (SELECT relowner FROM pg_class WHERE oid = to_regclass('public.events'));
    other text;
BEGIN
    FOR other IN
        SELECT format('TABLE %s', oid::regclass)
        FROM pg_class
        WHERE relkind IN ('r', 'p')
            AND (
                relnamespace IN ('ledger'::regnamespace, 'report_cells'::regnamespace)
                OR oid IN ('report.feeds'::regclass, 'report.last_refresh'::regclass)
                OR oid IN (SELECT relid FROM pg_partition_tree('public.events'))
            )
            AND relowner <> owner
            AND pg_has_role(relowner, 'USAGE')
        UNION ALL
        SELECT format('FUNCTION %s', oid::regprocedure)
        FROM pg_proc
        WHERE pronamespace = 'ledger'::regnamespace AND proowner <> owner AND pg_has_role(proowner, 'USAGE')
        UNION ALL
        SELECT format('SCHEMA %I', nspname)
        FROM pg_namespace
        WHERE nspname = 'report_cells' AND nspowner <> owner AND pg_has_role(nspowner, 'USAGE')
    LOOP
        EXECUTE format('ALTER %s OWNER TO %s', other, owner);
    END LOOP;
END
$$;

-- As the reports: whoever may use the schema may read it.
GRANT SELECT ON report.feeds, report.last_refresh TO PUBLIC;

DO $$
DECLARE
    partition text;
BEGIN
    -- A load stages rows, a refresh counts, in tables of their session's own.
    EXECUTE format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO sluice_writer, sluice_reader', current_database());

    GRANT USAGE ON SCHEMA ledger, public, report, report_cells TO sluice_writer, sluice_reader;
    GRANT SELECT ON ALL TABLES IN SCHEMA ledger TO sluice_writer, sluice_reader;
    -- By name: schema public may hold what belongs to others.
    GRANT SELECT ON public.events, public.sluice_migrations TO sluice_writer, sluice_reader;
    -- What they may do with the reports follows from them (sluice/reports/tables.py).
    GRANT SELECT, INSERT, DELETE ON report.last_refresh, report_cells.built, report_cells.comparisons
    TO sluice_writer, sluice_reader;

    -- The writer makes the backups of the schedule: a dump asks sequences where they are.
    GRANT SELECT ON ALL SEQUENCES IN SCHEMA ledger, report_cells TO sluice_writer;

    GRANT INSERT, UPDATE ON ledger.streams, ledger.files, ledger.rejects, ledger.contracts, ledger.feeds,
        ledger.insistences
    TO sluice_writer;
    -- The mover marks the folders of a new ledger.
    GRANT UPDATE ON ledger.identity TO sluice_writer;
    GRANT INSERT, UPDATE, DELETE ON ledger.batches, ledger.duplicates TO sluice_writer;
    -- Added to, and summed up.
    GRANT INSERT, DELETE ON ledger.counts TO sluice_writer;
    GRANT INSERT, DELETE ON ledger.arrivals TO sluice_writer;
    -- What was noted there stays as it was noted.
    GRANT INSERT ON ledger.audit, ledger.merges, ledger.retentions, ledger.expired_months TO sluice_writer;
    -- Who tells somebody outside of news; that there are some is noted by the owner's triggers.
    GRANT INSERT, UPDATE, DELETE ON ledger.tellers TO sluice_writer;
    GRANT UPDATE, DELETE ON ledger.untold TO sluice_writer;
    -- Whoever refreshes the reports, see refresh.sql.
    GRANT INSERT, DELETE ON ledger.failed_refresh TO sluice_reader;
    GRANT DELETE ON ledger.failed_refresh TO sluice_writer;
    -- Who recounts notes that; housekeeping keeps the newest.
    GRANT INSERT ON ledger.recounts TO sluice_reader;
    GRANT DELETE ON ledger.recounts TO sluice_writer;
    -- Whoever looks notes what was found and who was told; housekeeping keeps the newest.
    GRANT INSERT, UPDATE, DELETE ON ledger.duty, ledger.duty_changes TO sluice_writer;
    GRANT INSERT ON ledger.duty_told TO sluice_writer;
    -- What a refresh has counted; who notes it are the owner's triggers.
    GRANT DELETE ON ledger.report_changes TO sluice_writer, sluice_reader;
    GRANT INSERT, DELETE ON public.events TO sluice_writer;
    -- Whoever refreshes the reports says first what each feed is to them.
    GRANT INSERT, UPDATE, DELETE ON report.feeds TO sluice_writer, sluice_reader;

    -- They run with the rights of whoever calls them.
    GRANT EXECUTE ON FUNCTION
        ledger.verify(bigint), ledger.digest(bigint), ledger.row_digest(public.events), ledger.receipt_of(bit),
        ledger.receipt_after(text, bit), ledger.receipt_columns(), ledger.rows_of(bigint), ledger.months(),
        ledger.since(timestamptz), ledger.until(timestamptz), ledger.expired_before(),
        ledger.changes_waiting(timestamptz, timestamptz)
    TO sluice_writer, sluice_reader;
    -- They run as the owner, whose the partitions are: they are written through the whole table, and read by the merge.
    GRANT EXECUTE ON FUNCTION
        ledger.make_month(date, text, boolean), ledger.hold_month(text), ledger.drop_month(text), ledger.analyze_events()
    TO sluice_writer;
    FOR partition IN SELECT month FROM ledger.months() LOOP
        EXECUTE format('GRANT SELECT ON public.%I TO sluice_writer, sluice_reader', partition);
    END LOOP;
EXCEPTION
    WHEN undefined_object THEN
        RAISE NOTICE 'roles sluice_writer and sluice_reader do not exist: nothing is granted';
END
$$;
