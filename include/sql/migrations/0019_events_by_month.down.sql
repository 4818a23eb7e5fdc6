-- One table again, with a key: an id that two months have must be settled before (make merge).
LOCK TABLE ledger.streams, ledger.files, public.events, ledger.duplicates, ledger.audit IN ACCESS EXCLUSIVE MODE;
ALTER TABLE ledger.streams DROP COLUMN generation;
DROP FUNCTION
    ledger.analyze_events(), ledger.make_month(date, text, boolean), ledger.months(), ledger.rows_of(bigint),
    ledger.since(timestamptz),
    ledger.until(timestamptz), ledger.row_digest(public.events);
ALTER TABLE public.events RENAME TO events_by_month;
CREATE TABLE public.events (LIKE public.events_by_month INCLUDING ALL EXCLUDING INDEXES);
INSERT INTO public.events SELECT * FROM public.events_by_month;
DROP TABLE public.events_by_month;
ALTER TABLE public.events ADD CONSTRAINT events_pkey PRIMARY KEY (event_id);
CREATE INDEX events_by_time ON public.events USING brin (event_time) WITH (pages_per_range = 32, autosummarize = on);
CREATE INDEX events_by_file ON public.events USING brin (file_id) WITH (pages_per_range = 32, autosummarize = on);
DO $$
BEGIN
    GRANT SELECT, INSERT, DELETE ON public.events TO sluice_writer;
    GRANT SELECT ON public.events TO sluice_reader;
EXCEPTION
    WHEN undefined_object THEN
        NULL;  -- one login for everything
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

CREATE OR REPLACE FUNCTION ledger.digest(of_file bigint) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT ledger.receipt_of(bit_xor(ledger.row_digest(events))) FROM public.events WHERE events.file_id = of_file
$$;

CREATE OR REPLACE FUNCTION ledger.verify(of_file bigint) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    WITH in_events AS (
        SELECT count(*) AS rows_found, ledger.receipt_of(bit_xor(ledger.row_digest(events))) AS digest
        FROM public.events
        WHERE events.file_id = of_file
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
REVOKE ALL ON FUNCTION ledger.row_digest(public.events) FROM PUBLIC;

-- Lines of the audit stay: they say what was, so the rule of before holds for new ones only.
DO $$
DECLARE
    known text;
BEGIN
    SELECT regexp_replace(pg_get_expr(conbin, conrelid), '^\(\(action = ''merge''::text\) OR (.*)\)$', '\1')
    INTO STRICT known
    FROM pg_constraint
    WHERE conrelid = 'ledger.audit'::regclass AND conname = 'an_action_is_known';
    ALTER TABLE ledger.audit DROP CONSTRAINT an_action_is_known;
    EXECUTE format('ALTER TABLE ledger.audit ADD CONSTRAINT an_action_is_known CHECK (%s) NOT VALID', known);
END
$$;
DROP FUNCTION ledger.expired_before();
DROP TABLE ledger.merges, ledger.retentions;
ALTER TABLE ledger.files DROP COLUMN first_event_time, DROP COLUMN last_event_time, DROP COLUMN merged_at;
ALTER TABLE ledger.duplicates DROP COLUMN event_time;
