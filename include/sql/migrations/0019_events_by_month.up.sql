-- events in partitions by event_time, so that what a load touches stays small and a month can be dropped in a moment. The
-- table that is there becomes the partition of all that is older than the month after this one; only rows of later moments
-- are moved. One transaction, which holds events: it takes as long as PostgreSQL needs to read the table once.

-- In the order in which a load takes them: neither has what the other waits for. All loads are over then.
LOCK TABLE ledger.streams, ledger.files IN ACCESS EXCLUSIVE MODE;

-- Views on events follow it under its name, and what stands on them follows them.
CREATE TEMPORARY TABLE views_of_events ON COMMIT DROP AS
SELECT DISTINCT
    format('%s.%I', relnamespace::regnamespace, relname) AS view,
    relowner AS owner,
    CASE WHEN reloptions IS NOT NULL THEN format('WITH (%s)', array_to_string(reloptions, ', ')) ELSE '' END AS options,
    pg_get_viewdef(pg_class.oid) AS definition
FROM pg_depend AS needs
JOIN pg_rewrite AS rule ON needs.classid = 'pg_rewrite'::regclass AND needs.objid = rule.oid AND rulename = '_RETURN'
JOIN pg_class ON pg_class.oid = rule.ev_class AND relkind = 'v'
WHERE needs.refclassid = 'pg_class'::regclass AND needs.refobjid = 'public.events'::regclass;

CREATE FUNCTION pg_temp.make_views_anew() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    found record;
BEGIN
    FOR found IN SELECT * FROM pg_temp.views_of_events ORDER BY view LOOP
        IF NOT pg_has_role(found.owner, 'USAGE') THEN
            RAISE EXCEPTION 'view % of role % stands on table events, and this login may not make it anew',
                found.view, found.owner::regrole
                USING ERRCODE = 'insufficient_privilege',
                    HINT = 'Let its owner drop it, upgrade, then make it again; or upgrade as a superuser.';
        END IF;
        BEGIN
            EXECUTE format('CREATE OR REPLACE VIEW %s %s AS %s', found.view, found.options, found.definition);
        EXCEPTION
            WHEN lock_not_available OR deadlock_detected THEN
                RAISE;
            WHEN OTHERS THEN
                RAISE EXCEPTION 'view % stands on table events and cannot be made anew: %', found.view, SQLERRM
                    USING ERRCODE = 'object_in_use', HINT = 'Drop it, upgrade, then make it again.';
        END;
    END LOOP;
END
$$;
-- Before events is held: whoever reads a view takes the view first.
SELECT pg_temp.make_views_anew();

LOCK TABLE public.events, ledger.duplicates, ledger.audit IN ACCESS EXCLUSIVE MODE;

-- What others have made on events would stay on what is there now, without a word.
DO $$
DECLARE
    others text;
BEGIN
    WITH known (class, oid, is_followed) AS (
        SELECT 'pg_class'::regclass::oid, 'public.events'::regclass::oid, true
        UNION ALL
        SELECT 'pg_type'::regclass, pg_type.oid, true
        FROM pg_type
        JOIN pg_class ON pg_class.oid = 'public.events'::regclass AND reltype IN (pg_type.oid, typelem)
        UNION ALL
        SELECT 'pg_class'::regclass, indexrelid, false
        FROM pg_index
        WHERE indrelid = 'public.events'::regclass AND (indisprimary OR NOT (indisunique OR indisexclusion))
        UNION ALL
        SELECT 'pg_constraint'::regclass, oid, false
        FROM pg_constraint
        WHERE conrelid = 'public.events'::regclass AND contype IN ('p', 'c', 'n')
        UNION ALL
        SELECT 'pg_proc'::regclass, 'ledger.row_digest(public.events)'::regprocedure, false
    ), standing AS (
        SELECT CASE
            WHEN rulename = '_RETURN' THEN pg_describe_object('pg_class'::regclass, ev_class, 0)
            ELSE pg_describe_object(classid, objid, objsubid)
        END AS what
        FROM pg_depend
        JOIN known ON class = refclassid AND known.oid = refobjid
        LEFT JOIN pg_rewrite ON classid = 'pg_rewrite'::regclass AND pg_rewrite.oid = objid
        LEFT JOIN pg_trigger ON classid = 'pg_trigger'::regclass AND pg_trigger.oid = objid
        WHERE deptype <> 'i'
            AND classid <> 'pg_attrdef'::regclass
            AND tgisinternal IS NOT TRUE
            AND (classid, objid) NOT IN (SELECT class, oid FROM known)
            AND (is_followed AND rulename = '_RETURN' AND EXISTS (
                SELECT FROM pg_class WHERE pg_class.oid = ev_class AND relkind = 'v'
            )) IS NOT TRUE
        UNION
        SELECT format('privileges on column %I', attname)
        FROM pg_attribute
        WHERE attrelid = 'public.events'::regclass AND cardinality(attacl) > 0
        UNION
        SELECT 'row level security'
        FROM pg_class
        WHERE oid = 'public.events'::regclass AND (relrowsecurity OR relforcerowsecurity)
        UNION
        SELECT format('publication %I, which would publish each month under its own name', pubname)
        FROM pg_publication_tables
        JOIN pg_publication USING (pubname)
        WHERE (schemaname, tablename) = ('public', 'events')
            AND NOT pubviaroot
            AND NOT EXISTS (
                SELECT FROM pg_publication_rel WHERE prpubid = pg_publication.oid AND prrelid = 'public.events'::regclass
            )
    )
    SELECT string_agg(what, ', ' ORDER BY what) INTO others FROM standing;
    IF others IS NOT NULL THEN
        RAISE EXCEPTION 'on table events stands what would not be on the new one: %', others
            USING ERRCODE = 'object_in_use',
                HINT = 'Keep its text (pg_dump --schema-only), drop it, upgrade, then make it again; a publication of all '
                    'tables stays once publish_via_partition_root is set.';
    END IF;
END
$$;

-- A stream of the release before knows one table with one key: to it, a row of a month that is not there is a reason to
-- set its file aside. So it is fenced, and no program of that release gets another one.
UPDATE ledger.streams
SET state = 'fenced', state_since = clock_timestamp(), ended_at = clock_timestamp(), ended_how = 'fenced',
    ended_because = 'the tables were upgraded'
WHERE ended_at IS NULL;
ALTER TABLE ledger.streams
    ADD COLUMN generation integer NOT NULL DEFAULT 1,
    ADD CONSTRAINT a_stream_knows_the_months CHECK (ended_at IS NOT NULL OR generation >= 2);
COMMENT ON COLUMN ledger.streams.generation IS 'Which tables its release writes: 1 all events in one, 2 by month';

-- The moment of the row that a duplicate repeats: an id alone does not name a row any more.
ALTER TABLE ledger.duplicates ADD COLUMN event_time timestamptz;
UPDATE ledger.duplicates
SET event_time = coalesce((SELECT events.event_time FROM public.events WHERE events.event_id = duplicates.event_id), '-infinity');
ALTER TABLE ledger.duplicates ALTER COLUMN event_time SET NOT NULL;

-- Between which moments a file's rows lie (none: not known, so in any month), and when its ids were compared with those of
-- all months. What is loaded by now was compared with all of them by the key of the whole table.
ALTER TABLE ledger.files
    ADD COLUMN first_event_time timestamptz,
    ADD COLUMN last_event_time timestamptz,
    ADD COLUMN merged_at timestamptz DEFAULT now();
ALTER TABLE ledger.files ALTER COLUMN merged_at DROP DEFAULT;
UPDATE ledger.files SET merged_at = NULL WHERE state = 'landed';
CREATE INDEX files_to_merge ON ledger.files (file_id) WHERE state = 'loaded' AND merged_at IS NULL;

-- One row a comparison of ids across months.
CREATE TABLE ledger.merges (
    begun_at   timestamptz PRIMARY KEY,
    ended_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    files      bigint NOT NULL,
    rows       bigint NOT NULL,
    conflicts  bigint NOT NULL,
    duplicates bigint NOT NULL,
    waiting    jsonb NOT NULL
);
COMMENT ON TABLE ledger.merges IS 'When the ids of new rows were compared with those of all months, and what was found';
COMMENT ON COLUMN ledger.merges.waiting IS 'By file_id: why later rows of it stay in events until somebody does what is said here';

-- From which moment on events are kept: the greatest counts, so it only rises. Whoever wants older rows again deletes lines.
CREATE TABLE ledger.retentions (
    expired_before timestamptz PRIMARY KEY,
    since          timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT a_retention_is_a_moment CHECK (isfinite(expired_before))
);
COMMENT ON TABLE ledger.retentions IS 'Events before the greatest expired_before are rejected, and their months dropped';

CREATE FUNCTION ledger.expired_before() RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT coalesce(max(expired_before), '-infinity') FROM ledger.retentions
$$;

-- An audit line for each file that loses rows to a merge, beside the actions that are known already.
DO $$
DECLARE
    known text;
BEGIN
    SELECT pg_get_expr(conbin, conrelid) INTO STRICT known
    FROM pg_constraint
    WHERE conrelid = 'ledger.audit'::regclass AND conname = 'an_action_is_known';
    ALTER TABLE ledger.audit DROP CONSTRAINT an_action_is_known;
    EXECUTE format('ALTER TABLE ledger.audit ADD CONSTRAINT an_action_is_known CHECK (action = ''merge'' OR %s)', known);
END
$$;

-- The partitions of events, and the moments that each holds: from begins, before ends.
CREATE FUNCTION ledger.months() RETURNS TABLE (month text, begins timestamptz, ends timestamptz)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO' AS $$
    SELECT
        relname::text,
        CASE WHEN bounds[1] = 'MINVALUE' THEN '-infinity' ELSE btrim(bounds[1], '''') END::timestamptz,
        CASE WHEN bounds[2] = 'MAXVALUE' THEN 'infinity' ELSE btrim(bounds[2], '''') END::timestamptz
    FROM pg_inherits
    JOIN pg_class ON pg_class.oid = inhrelid
    CROSS JOIN LATERAL regexp_match(pg_get_expr(relpartbound, pg_class.oid), 'FROM \((.+)\) TO \((.+)\)') AS bounds
    WHERE inhparent = to_regclass('public.events') AND NOT inhdetachpending AND bounds IS NOT NULL
    ORDER BY 2
$$;

-- The partition of a day (UTC), made if there is none: as large as asked for, or as the gap between its neighbours; an open
-- one before 2000 and from 2100 on. One that would hold only what has expired is not made, and no row returned, unless the
-- caller wants it although it has. It runs as the owner, who alone may: the writer calls it. What it waits for, and lets
-- wait, is no load.
CREATE FUNCTION ledger.make_month(of_day date, size text DEFAULT 'month', although_expired boolean DEFAULT false)
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

-- What PostgreSQL knows of the whole table, which autovacuum never looks at; it looks after the partitions.
CREATE FUNCTION ledger.analyze_events() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- Before 18 there is no leaving out the partitions.
    EXECUTE CASE WHEN current_setting('server_version_num')::integer < 180000
        THEN 'ANALYZE public.events'
        ELSE 'ANALYZE ONLY public.events'
    END;
END
$$;

DROP FUNCTION ledger.row_digest(public.events);

DO $$
DECLARE
    -- A table without rows becomes the partition of what is older than 2000.
    cut constant timestamptz := CASE
        WHEN EXISTS (SELECT FROM public.events)
            THEN (date_trunc('month', now() AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC'
        ELSE '2000-01-01Z'
    END;
    old constant text := to_char(cut AT TIME ZONE 'UTC', '"events_before_"YYYY_MM');
    was constant oid := 'public.events'::regclass;
    owner constant regrole := (SELECT relowner FROM pg_class WHERE oid = was);
    indexes text[];
    found   record;
    mine    text;
    moved   bigint;
BEGIN
    CREATE TEMPORARY TABLE later_events ON COMMIT DROP AS TABLE public.events WITH NO DATA;
    WITH gone AS (DELETE FROM public.events WHERE event_time >= cut RETURNING *)
    INSERT INTO later_events SELECT * FROM gone;
    SELECT array_agg(pg_get_indexdef(indexrelid)) INTO indexes
    FROM pg_index
    WHERE indrelid = was AND NOT indisunique AND NOT indisexclusion;
    FOR found IN SELECT relname FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid WHERE indrelid = was LOOP
        EXECUTE format(
            'ALTER INDEX public.%I RENAME TO %I', found.relname, old || '_' || regexp_replace(found.relname, '^events_', '')
        );
    END LOOP;
    EXECUTE format('ALTER TABLE public.events RENAME TO %I', old);
    EXECUTE format(
        'CREATE TABLE public.events (LIKE public.%I INCLUDING ALL EXCLUDING INDEXES) PARTITION BY RANGE (event_time)', old
    );
    -- A superuser may be at it; but whoever owns the rows makes the months, and owns them.
    FOREACH mine IN ARRAY ARRAY[
        'TABLE public.events', 'TABLE ledger.retentions', 'FUNCTION ledger.expired_before()', 'FUNCTION ledger.months()',
        'FUNCTION ledger.make_month(date, text, boolean)', 'FUNCTION ledger.analyze_events()'
    ] LOOP
        EXECUTE format('ALTER %s OWNER TO %s', mine, owner);
    END LOOP;
    FOR at IN 1..coalesce(cardinality(indexes), 0) LOOP
        EXECUTE indexes[at];
    END LOOP;
    FOR found IN
        SELECT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END AS role,
            string_agg(privilege_type, ', ') AS privileges,
            CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END AS options
        FROM pg_class
        CROSS JOIN aclexplode(relacl)
        WHERE pg_class.oid = was AND grantee <> relowner
        GROUP BY grantee, is_grantable
    LOOP
        EXECUTE format('GRANT %s ON public.events TO %s%s', found.privileges, found.role, found.options);
        EXECUTE format('REVOKE ALL ON public.%I FROM %s CASCADE', old, found.role);
    END LOOP;
    EXECUTE format('ALTER TABLE public.events ATTACH PARTITION public.%I FOR VALUES FROM (MINVALUE) TO (%L)', old, cut);
    PERFORM ledger.make_month('2100-01-01');
    PERFORM ledger.make_month(months.first_day)
    FROM (
        SELECT DISTINCT date_trunc('month', event_time AT TIME ZONE 'UTC')::date AS first_day FROM later_events
    ) AS months;
    INSERT INTO public.events SELECT * FROM later_events;
    GET DIAGNOSTICS moved = ROW_COUNT;
    RAISE NOTICE 'table events is partitioned by month: what is older than % stays where it is, % rows were moved', cut, moved;
END
$$;

SELECT pg_temp.make_views_anew();
DROP FUNCTION pg_temp.make_views_anew();

CREATE FUNCTION ledger.row_digest(event public.events) RETURNS bit
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT ('x' || md5(format(
        '%L,%L,%L,%L,%L,%L,%L,%L,%L,%L,%L,%L,%L,%L,%L,%L,%L',
        event.record_number, event.event_id, event.event_type, extract(epoch FROM event.event_time), event.user_id,
        event.product_id, event.category, event.price, event.session_id, event.ip_address, event.user_agent,
        event.search_query, event.search_results_count, event.quantity, event.total_amount, event.payment_method,
        event.extra
    )))::bit(128)
$$;

-- From the beginning of one month (UTC) to before the end of another: the months of a file whose rows lie between these
-- moments; all of them where that is not known.
CREATE FUNCTION ledger.since(first_event_time timestamptz) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(date_trunc('month', first_event_time AT TIME ZONE 'UTC') AT TIME ZONE 'UTC', '-infinity')
$$;
CREATE FUNCTION ledger.until(last_event_time timestamptz) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(
        (date_trunc('month', last_event_time AT TIME ZONE 'UTC') + interval '1 month - 1 us') AT TIME ZONE 'UTC', 'infinity'
    )
$$;

-- A file's rows are looked for in its months only.
CREATE FUNCTION ledger.rows_of(of_file bigint) RETURNS SETOF public.events
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT *
    FROM public.events
    WHERE file_id = of_file
        AND event_time >= (SELECT ledger.since(min(first_event_time)) FROM ledger.files WHERE files.file_id = of_file)
        AND event_time <= (SELECT ledger.until(max(last_event_time)) FROM ledger.files WHERE files.file_id = of_file)
$$;

CREATE OR REPLACE FUNCTION ledger.digest(of_file bigint) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT ledger.receipt_of(bit_xor(ledger.row_digest(present))) FROM ledger.rows_of(of_file) AS present
$$;

CREATE OR REPLACE FUNCTION ledger.verify(of_file bigint) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    WITH in_events AS (
        SELECT count(*) AS rows_found, ledger.receipt_of(bit_xor(ledger.row_digest(present))) AS digest
        FROM ledger.rows_of(of_file) AS present
    ), found AS (
        SELECT
            in_events.rows_found AS loaded,
            (
                SELECT count(*) FROM ledger.rejects
                WHERE rejects.file_id = of_file AND rejects.state = 'quarantined'
            ) AS rejected,
            (SELECT count(*) FROM ledger.duplicates WHERE duplicates.file_id = of_file) AS duplicate,
            in_events.digest
        FROM in_events
    ), judged AS (
        SELECT
            files.*,
            found.*,
            array_remove(ARRAY[
                CASE WHEN coalesce(rows_loaded, 0) <> loaded THEN
                    format('its ledger entry says rows_loaded=%s, the tables hold %s', coalesce(rows_loaded, 0), loaded)
                END,
                CASE WHEN coalesce(rows_rejected, 0) <> rejected THEN
                    format('its ledger entry says rows_rejected=%s, the tables hold %s', coalesce(rows_rejected, 0), rejected)
                END,
                CASE WHEN coalesce(rows_duplicate, 0) <> duplicate THEN
                    format('its ledger entry says rows_duplicate=%s, the tables hold %s', coalesce(rows_duplicate, 0), duplicate)
                END,
                CASE WHEN receipt <> digest THEN
                    format('its receipt is %s, its rows give %s: a row was changed, added or taken by hand', receipt, digest)
                END
            ], NULL) AS problems
        FROM ledger.files
        CROSS JOIN found
        WHERE files.file_id = of_file
    )
    SELECT jsonb_build_object(
        'file_id', file_id,
        'name', name,
        'sha256', sha256,
        'bytes', bytes,
        'state', state,
        'rows_read', rows_read,
        'rows_loaded', rows_loaded,
        'rows_rejected', rows_rejected,
        'rows_duplicate', rows_duplicate,
        'receipt', coalesce(receipt, 'pending'),
        'version', receipt_version,
        'columns', ledger.receipt_columns(),
        'made_at', to_char(receipt_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        'digest', digest,
        'holds', CASE WHEN cardinality(problems) > 0 THEN false WHEN receipt IS NOT NULL THEN true END,
        'problems', problems
    )
    FROM judged
$$;

REVOKE ALL ON FUNCTION
    ledger.row_digest(public.events), ledger.rows_of(bigint), ledger.since(timestamptz), ledger.until(timestamptz),
    ledger.months(), ledger.make_month(date, text, boolean), ledger.expired_before(), ledger.analyze_events()
FROM PUBLIC;
