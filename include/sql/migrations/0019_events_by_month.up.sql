-- events in partitions by event_time, so that what a load touches stays small and a month can be dropped in a moment. The
-- table that is there becomes the partition of all that is older than the month after this one; only rows of later moments
-- are moved. One transaction, which holds events: it takes as long as PostgreSQL needs to read the table once.
LOCK TABLE public.events, ledger.duplicates IN ACCESS EXCLUSIVE MODE;

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_trigger WHERE tgrelid = 'public.events'::regclass)
        OR EXISTS (SELECT FROM pg_policy WHERE polrelid = 'public.events'::regclass)
        OR EXISTS (SELECT FROM pg_constraint WHERE contype = 'f' AND 'public.events'::regclass IN (conrelid, confrelid))
    THEN
        RAISE EXCEPTION 'table events has triggers, policies or references that Sluice has not made: they would stay on what is there now'
            USING ERRCODE = 'object_in_use', HINT = 'Drop them, upgrade, then make them again.';
    END IF;
END
$$;

-- A stream of the release before cannot load into partitions: it ends, and the next one goes on.
UPDATE ledger.streams SET stop_requested = clock_timestamp() WHERE ended_at IS NULL AND stop_requested IS NULL;

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
    conflicts  bigint NOT NULL
);
COMMENT ON TABLE ledger.merges IS 'When the ids of new rows were compared with those of all months, and what was found';

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

-- The partition of a day (UTC), made if there is none, as large as asked for, or as the gap between its neighbours. It runs
-- as the owner, who alone may: the writer calls it. What it waits for, and lets wait, is no load.
CREATE FUNCTION ledger.make_month(of_day date, size text DEFAULT 'month')
RETURNS TABLE (month text, begins timestamptz, ends timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO' AS $$
#variable_conflict use_column
DECLARE
    moment timestamptz := of_day;
    low    timestamptz;
    high   timestamptz;
    called text;
    reader text;
BEGIN
    IF of_day IS NULL OR size IS NULL OR size NOT IN ('day', 'week', 'month', 'quarter', 'year') THEN
        RAISE EXCEPTION '% is no size of a partition: day, week, month, quarter or year', coalesce(size, 'NULL')
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM pg_advisory_xact_lock(7215482304);
    IF NOT EXISTS (SELECT FROM ledger.months() AS there WHERE there.begins <= moment AND moment < there.ends) THEN
        low := date_trunc(size, moment);
        high := low + CASE size WHEN 'quarter' THEN interval '3 months' ELSE ('1 ' || size)::interval END;
        SELECT greatest(low, max(there.ends)) INTO low FROM ledger.months() AS there WHERE there.ends <= moment;
        SELECT least(high, min(there.begins)) INTO high FROM ledger.months() AS there WHERE there.begins > moment;
        called := CASE
            WHEN low = date_trunc('month', low) AND high = low + interval '1 month'
                THEN to_char(low, '"events_"YYYY_MM')
            ELSE to_char(low, '"events_"YYYY_MM_DD') || to_char(high, '"_to_"YYYY_MM_DD')
        END;
        -- Whoever detached a partition may have left it there.
        WHILE to_regclass(format('public.%I', called)) IS NOT NULL LOOP
            called := called || '_';
        END LOOP;
        EXECUTE format('CREATE TABLE public.%I (LIKE public.events INCLUDING ALL)', called);
        EXECUTE format('ALTER TABLE public.%I ADD CONSTRAINT %I PRIMARY KEY (event_id)', called, called || '_pkey');
        EXECUTE format('ALTER TABLE public.events ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)', called, low, high);
        -- Who reads the whole table may read each of its parts.
        FOR reader IN
            SELECT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END
            FROM pg_class
            CROSS JOIN aclexplode(relacl)
            WHERE pg_class.oid = to_regclass('public.events') AND privilege_type = 'SELECT' AND grantee <> relowner
        LOOP
            EXECUTE format('GRANT SELECT ON public.%I TO %s', called, reader);
        END LOOP;
    END IF;
    RETURN QUERY SELECT * FROM ledger.months() AS there WHERE there.begins <= moment AND moment < there.ends;
END
$$;

CREATE TEMPORARY TABLE views_of_events ON COMMIT DROP AS
WITH RECURSIVE above AS (
    SELECT 'public.events'::regclass::oid AS oid, 0 AS depth
    UNION
    SELECT rewritten.ev_class, above.depth + 1
    FROM above
    JOIN pg_depend AS needs ON needs.refclassid = 'pg_class'::regclass AND needs.refobjid = above.oid
    JOIN pg_rewrite AS rewritten ON needs.classid = 'pg_rewrite'::regclass AND needs.objid = rewritten.oid
    WHERE rewritten.ev_class <> above.oid
)
SELECT
    max(depth) AS depth,
    relkind,
    relnamespace::regnamespace::text AS schema_name,
    relname::text AS view_name,
    relowner::regrole::text AS owner,
    CASE WHEN reloptions IS NOT NULL THEN format('WITH (%s)', array_to_string(reloptions, ', ')) ELSE '' END AS options,
    pg_get_viewdef(oid) AS definition
FROM above
JOIN pg_class USING (oid)
WHERE relkind IN ('v', 'm')
GROUP BY oid, relkind, relnamespace, relname, relowner, reloptions;

DO $$
DECLARE
    others text;
BEGIN
    SELECT string_agg(format('%s.%I of role %s', schema_name, view_name, owner), ', ') INTO others
    FROM views_of_events
    WHERE NOT pg_has_role(owner::regrole, 'USAGE');
    IF others IS NOT NULL THEN
        RAISE EXCEPTION 'views stand on table events that this login may not make anew: %', others
            USING ERRCODE = 'insufficient_privilege',
                HINT = 'Let their owners drop them, upgrade, then make them again; or upgrade as a superuser.';
    END IF;
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
    indexes text[];
    named   text[];
    found   record;
    moved   bigint;
BEGIN
    CREATE TEMPORARY TABLE later_events ON COMMIT DROP AS TABLE public.events WITH NO DATA;
    WITH gone AS (DELETE FROM public.events WHERE event_time >= cut RETURNING *)
    INSERT INTO later_events SELECT * FROM gone;
    SELECT array_agg(pg_get_indexdef(indexrelid)), array_agg(relname::text) INTO indexes, named
    FROM pg_index
    JOIN pg_class ON pg_class.oid = indexrelid
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
    FOR at IN 1..coalesce(cardinality(indexes), 0) LOOP
        EXECUTE indexes[at];
    END LOOP;
    FOR found IN
        SELECT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END AS role,
            string_agg(privilege_type, ', ') AS privileges
        FROM pg_class
        CROSS JOIN aclexplode(relacl)
        WHERE pg_class.oid = was AND grantee <> relowner
        GROUP BY grantee
    LOOP
        EXECUTE format('GRANT %s ON public.events TO %s', found.privileges, found.role);
        EXECUTE format('REVOKE ALL ON public.%I FROM %s', old, found.role);
    END LOOP;
    EXECUTE format('ALTER TABLE public.events ATTACH PARTITION public.%I FOR VALUES FROM (MINVALUE) TO (%L)', old, cut);
    CREATE TABLE public.events_from_2100_01 (LIKE public.events INCLUDING ALL);
    ALTER TABLE public.events_from_2100_01 ADD CONSTRAINT events_from_2100_01_pkey PRIMARY KEY (event_id);
    ALTER TABLE public.events ATTACH PARTITION public.events_from_2100_01 FOR VALUES FROM ('2100-01-01Z') TO (MAXVALUE);
    PERFORM ledger.make_month(days.of_day)
    FROM (SELECT DISTINCT (event_time AT TIME ZONE 'UTC')::date AS of_day FROM later_events) AS days;
    INSERT INTO public.events SELECT * FROM later_events;
    GET DIAGNOSTICS moved = ROW_COUNT;
    RAISE NOTICE 'table events is partitioned by month: what is older than % stays where it is, % rows were moved', cut, moved;
END
$$;

-- Views follow the table under its name, each before what stands on it. What cannot be made anew in its place (one that
-- keeps its rows, and what stands on it) is kept in ledger.dropped_views.
DO $$
DECLARE
    found record;
BEGIN
    FOR found IN SELECT * FROM views_of_events ORDER BY depth LOOP
        BEGIN
            IF found.relkind = 'm' THEN
                RAISE EXCEPTION 'it keeps its rows';
            END IF;
            EXECUTE format(
                'CREATE OR REPLACE VIEW %s.%I %s AS %s', found.schema_name, found.view_name, found.options, found.definition
            );
        EXCEPTION
            WHEN OTHERS THEN
                INSERT INTO ledger.dropped_views (schema_name, view_name, owner, kind, definition)
                VALUES (
                    found.schema_name, found.view_name, found.owner,
                    CASE found.relkind WHEN 'v' THEN 'VIEW' ELSE 'MATERIALIZED VIEW' END, found.definition
                );
                EXECUTE format(
                    'DROP %s IF EXISTS %s.%I CASCADE',
                    CASE found.relkind WHEN 'v' THEN 'VIEW' ELSE 'MATERIALIZED VIEW' END, found.schema_name, found.view_name
                );
                RAISE WARNING '%.% stood on table events and is gone (%): its text is in ledger.dropped_views',
                    found.schema_name, found.view_name, SQLERRM;
        END;
    END LOOP;
END
$$;

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
    ledger.months(), ledger.make_month(date, text)
FROM PUBLIC;
