-- The reports of before are built whole, from what events holds then.
LOCK TABLE ledger.streams, ledger.files, public.events IN ACCESS EXCLUSIVE MODE;
DROP SCHEMA report_cells CASCADE;

CREATE OR REPLACE FUNCTION ledger.hold_month(of_month text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM ledger.months() WHERE month = of_month AND ends <= ledger.expired_before()) THEN
        RAISE EXCEPTION '% is no partition of events whose rows have all expired', of_month USING ERRCODE = 'undefined_table';
    END IF;
    EXECUTE format('LOCK TABLE ONLY public.%I IN SHARE MODE', of_month);
END
$$;

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

-- With the triggers that run them, also those of partitions that somebody has detached.
DROP FUNCTION ledger.changes_waiting(timestamptz, timestamptz);
DROP FUNCTION ledger.note_file(), ledger.note_days() CASCADE;
DROP TABLE ledger.report_changes;
