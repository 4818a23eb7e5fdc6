-- What the reports have not counted yet: each change of events is noted in the transaction that makes it, so that a
-- refresh counts only the days that changed. What is there by now is not noted: the first refresh counts all of it.

-- In the order in which a load takes them: neither has what the other waits for. Readers go on.
LOCK TABLE ledger.streams, ledger.files, public.events IN EXCLUSIVE MODE;

CREATE TABLE ledger.report_changes (
    change_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    file_id   bigint,
    feed      text,
    day       date,
    CONSTRAINT a_change_is_of_a_file_or_of_a_day CHECK (
        num_nonnulls(file_id, feed) = 1 AND num_nonnulls(file_id, day) = 1
    )
);
COMMENT ON TABLE ledger.report_changes IS
    'Changes of events that the reports have not counted yet; the refresh that counts them deletes them';
COMMENT ON COLUMN ledger.report_changes.file_id IS
    'Rows came to this file: the days that it has rows of are to be counted';
COMMENT ON COLUMN ledger.report_changes.feed IS
    'Rows of this feed (the contract of their file; unknown: it has none) have left the day';
COMMENT ON COLUMN ledger.report_changes.day IS 'In UTC; infinity or -infinity where the moments of the rows are';

-- Both run as the owner: whoever writes needs no right on the table.
CREATE FUNCTION ledger.note_file() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO ledger.report_changes (file_id) VALUES (NEW.file_id);
    RETURN NULL;
END
$$;

CREATE FUNCTION ledger.note_days() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO ledger.report_changes (feed, day)
    SELECT DISTINCT coalesce(contract, 'unknown'), of_file.day
    FROM (SELECT DISTINCT file_id, (event_time AT TIME ZONE 'UTC')::date AS day FROM gone) AS of_file
    LEFT JOIN ledger.files USING (file_id);
    RETURN NULL;
END
$$;

-- Rows come with the tally of their file, so events itself has no trigger that a load would pay for. Where a tally
-- shrinks, rows have left, by a DELETE.
CREATE TRIGGER a_file_that_comes_loaded_is_noted AFTER INSERT ON ledger.files
FOR EACH ROW WHEN (NEW.state = 'loaded' AND NEW.rows_loaded > 0)
EXECUTE FUNCTION ledger.note_file();
CREATE TRIGGER rows_that_come_are_noted AFTER UPDATE OF state, rows_loaded ON ledger.files
FOR EACH ROW WHEN (
    NEW.state = 'loaded' AND NEW.rows_loaded > 0 AND (OLD.state <> 'loaded' OR NEW.rows_loaded > OLD.rows_loaded)
)
EXECUTE FUNCTION ledger.note_file();

-- Of a statement only that table's trigger fires which the statement names: so each partition has one as well.
CREATE TRIGGER rows_that_leave_are_noted AFTER DELETE ON public.events REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT EXECUTE FUNCTION ledger.note_days();
DO $$
DECLARE
    partition text;
BEGIN
    FOR partition IN SELECT month FROM ledger.months() LOOP
        EXECUTE format(
            'CREATE TRIGGER rows_that_leave_are_noted AFTER DELETE ON public.%I REFERENCING OLD TABLE AS gone '
                'FOR EACH STATEMENT EXECUTE FUNCTION ledger.note_days()',
            partition
        );
    END LOOP;
END
$$;

-- As before, but with that trigger.
CREATE OR REPLACE FUNCTION ledger.make_month(of_day date, size text DEFAULT 'month', although_expired boolean DEFAULT false)
RETURNS TABLE (month text, begins timestamptz, ends timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO' AS $$
#variable_conflict use_column
DECLARE
    oldest constant timestamptz := '2000-01-01Z';
    newest constant timestamptz := '2100-01-01Z';
    moment constant timestamptz := of_day;
    there  record;
    low    timestamptz := '-infinity';
    high   timestamptz := 'infinity';
    called text;
    reader text;
BEGIN
    IF of_day IS NULL OR size IS NULL OR size NOT IN ('day', 'week', 'month', 'quarter', 'year') THEN
        RAISE EXCEPTION '% is no size of a partition: day, week, month, quarter or year', coalesce(size, 'NULL')
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM pg_advisory_xact_lock(7215482306);
    -- Once: with many partitions this takes as long as making one.
    SELECT
        max(month) FILTER (WHERE begins <= moment AND moment < ends) AS month,
        max(begins) FILTER (WHERE begins <= moment) AS begins,
        min(ends) FILTER (WHERE ends > moment) AS ends,
        max(ends) FILTER (WHERE ends <= moment) AS below,
        min(begins) FILTER (WHERE begins > moment) AS above
    INTO there
    FROM ledger.months();
    IF there.month IS NOT NULL THEN
        RETURN QUERY SELECT there.month, there.begins, there.ends;
        RETURN;
    END IF;
    IF moment < oldest THEN
        high := oldest;
    ELSIF moment >= newest THEN
        low := newest;
    ELSE
        low := date_trunc(size, moment);
        high := least(newest, low + CASE size WHEN 'quarter' THEN interval '3 months' ELSE ('1 ' || size)::interval END);
        low := greatest(oldest, low);
    END IF;
    low := greatest(low, there.below);
    high := least(high, there.above);
    -- Read here, and not before the lock: it may have risen while another had that.
    IF high <= ledger.expired_before() AND although_expired IS NOT TRUE THEN
        RETURN;
    END IF;
    called := CASE
        WHEN low = '-infinity' THEN to_char(high, '"events_before_"YYYY_MM')
        WHEN high = 'infinity' THEN to_char(low, '"events_from_"YYYY_MM')
        WHEN low = date_trunc('month', low) AND high = low + interval '1 month' THEN to_char(low, '"events_"YYYY_MM')
        ELSE to_char(low, '"events_"YYYY_MM_DD') || to_char(high, '"_to_"YYYY_MM_DD')
    END;
    -- Whoever detached a partition may have left it there.
    WHILE to_regclass(format('public.%I', called)) IS NOT NULL LOOP
        called := called || '_';
    END LOOP;
    EXECUTE format('CREATE TABLE public.%I (LIKE public.events INCLUDING ALL)', called);
    EXECUTE format('ALTER TABLE public.%I ADD CONSTRAINT %I PRIMARY KEY (event_id)', called, called || '_pkey');
    EXECUTE format(
        'CREATE TRIGGER rows_that_leave_are_noted AFTER DELETE ON public.%I REFERENCING OLD TABLE AS gone '
            'FOR EACH STATEMENT EXECUTE FUNCTION ledger.note_days()',
        called
    );
    EXECUTE format(
        'ALTER TABLE public.events ATTACH PARTITION public.%I FOR VALUES FROM (%s) TO (%s)',
        called,
        CASE WHEN isfinite(low) THEN quote_literal(low) ELSE 'MINVALUE' END,
        CASE WHEN isfinite(high) THEN quote_literal(high) ELSE 'MAXVALUE' END
    );
    -- Who reads the whole table may read each of its parts.
    FOR reader IN
        SELECT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END
        FROM pg_class
        CROSS JOIN aclexplode(relacl)
        WHERE pg_class.oid = to_regclass('public.events') AND privilege_type = 'SELECT' AND grantee <> relowner
    LOOP
        EXECUTE format('GRANT SELECT ON public.%I TO %s', called, reader);
    END LOOP;
    RETURN QUERY SELECT called, low, high;
END
$$;

-- How many changes wait that may be of rows from one moment on and before another.
CREATE FUNCTION ledger.changes_waiting(begins timestamptz, ends timestamptz) RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT count(*)
    FROM ledger.report_changes AS change
    LEFT JOIN ledger.files USING (file_id)
    WHERE CASE
        WHEN change.file_id IS NULL THEN
            change.day >= (begins AT TIME ZONE 'UTC')::date AND change.day::timestamp AT TIME ZONE 'UTC' < ends
        ELSE coalesce(first_event_time, '-infinity') < ends AND coalesce(last_event_time, 'infinity') >= begins
    END
$$;

-- As before, but a month is not dropped before the reports have counted its last changes: after that they never could.
CREATE OR REPLACE FUNCTION ledger.hold_month(of_month text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    waiting bigint;
BEGIN
    IF NOT EXISTS (SELECT FROM ledger.months() WHERE month = of_month AND ends <= ledger.expired_before()) THEN
        RAISE EXCEPTION '% is no partition of events whose rows have all expired', of_month USING ERRCODE = 'undefined_table';
    END IF;
    EXECUTE format('LOCK TABLE ONLY public.%I IN SHARE MODE', of_month);
    -- Now nobody changes it, and who has changed it has committed what is noted of that.
    SELECT ledger.changes_waiting(begins, ends) INTO STRICT waiting FROM ledger.months() WHERE month = of_month;
    IF waiting > 0 THEN
        RAISE EXCEPTION 'the reports have not counted % changes of the rows of %', waiting, of_month
            USING ERRCODE = 'object_in_use';
    END IF;
END
$$;

REVOKE ALL ON FUNCTION
    ledger.note_file(), ledger.note_days(), ledger.changes_waiting(timestamptz, timestamptz)
FROM PUBLIC;

-- The tables that a refresh counts into belong to the owner, who makes them.
CREATE SCHEMA report_cells;
