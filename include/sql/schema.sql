-- The schema that all migrations together make, with its grants. `make schema` writes it, `make check` compares it:
-- nothing runs it, a change of the schema is a migration. What may be done with the tables of schema report is not said
-- here: it follows from the files of the reports, and so do tables that no migration makes.

SET check_function_bodies = off;

-- Schemas

CREATE SCHEMA ledger;
CREATE SCHEMA report;
CREATE SCHEMA report_cells;

-- Tables

CREATE TABLE ledger.arrivals (
    sha256 text NOT NULL,
    landed_at timestamp with time zone NOT NULL,
    CONSTRAINT arrivals_pkey PRIMARY KEY (sha256)
);

CREATE TABLE ledger.audit (
    audit_id bigint GENERATED ALWAYS AS IDENTITY NOT NULL,
    at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
    action text NOT NULL,
    file_id bigint NOT NULL,
    reason text NOT NULL,
    by_whom text NOT NULL,
    details jsonb NOT NULL,
    CONSTRAINT an_action_is_known CHECK (((action = 'edit'::text) OR ((action = 'expire'::text) OR ((action = 'merge'::text) OR ((action = 'copy'::text) OR ((action = 'receipt'::text) OR ((action = ANY (ARRAY['takeover'::text, 'insist'::text])) OR (action = ANY (ARRAY['unload'::text, 'replace'::text]))))))))),
    CONSTRAINT audit_pkey PRIMARY KEY (audit_id)
);

CREATE TABLE ledger.batches (
    epoch bigint NOT NULL,
    batch bigint NOT NULL,
    committed_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
    files bigint NOT NULL DEFAULT 0,
    rows_read bigint NOT NULL DEFAULT 0,
    rows_loaded bigint NOT NULL DEFAULT 0,
    rows_rejected bigint NOT NULL DEFAULT 0,
    rows_duplicate bigint NOT NULL DEFAULT 0,
    duration_ms bigint,
    durations jsonb,
    backlog_files bigint,
    lane text NOT NULL DEFAULT 'small'::text,
    CONSTRAINT batches_pkey PRIMARY KEY (epoch, lane, batch)
);

CREATE TABLE ledger.contracts (
    file text NOT NULL,
    usable text,
    problem text,
    seen_under text NOT NULL,
    seen_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT contracts_pkey PRIMARY KEY (file)
);

CREATE TABLE ledger.counts (
    contract text NOT NULL,
    what text NOT NULL,
    label text NOT NULL,
    amount double precision NOT NULL,
    CONSTRAINT a_count_only_grows CHECK ((amount > (0)::double precision)),
    CONSTRAINT what_is_counted_is_known CHECK ((what = ANY (ARRAY['files'::text, 'rows'::text, 'rejects'::text, 'lag'::text, 'lag_seconds'::text])))
);

CREATE TABLE ledger.dropped_views (
    schema_name text NOT NULL,
    view_name text NOT NULL,
    owner text NOT NULL,
    kind text NOT NULL,
    definition text NOT NULL,
    dropped_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT a_dropped_view_is_of_a_known_kind CHECK ((kind = ANY (ARRAY['VIEW'::text, 'MATERIALIZED VIEW'::text])))
);

CREATE TABLE ledger.duplicates (
    file_id bigint NOT NULL,
    record_number bigint NOT NULL,
    event_id uuid NOT NULL,
    event_time timestamp with time zone NOT NULL,
    CONSTRAINT duplicates_pkey PRIMARY KEY (file_id, record_number)
);

CREATE TABLE ledger.duty (
    kind text NOT NULL,
    name text NOT NULL,
    state text NOT NULL,
    since timestamp with time zone NOT NULL,
    seen_at timestamp with time zone NOT NULL,
    numbers jsonb NOT NULL DEFAULT '{}'::jsonb,
    CONSTRAINT duty_pkey PRIMARY KEY (kind, name)
);

CREATE TABLE ledger.duty_changes (
    change_id bigint GENERATED ALWAYS AS IDENTITY NOT NULL,
    kind text NOT NULL,
    name text NOT NULL,
    was text,
    state text NOT NULL,
    at timestamp with time zone NOT NULL,
    numbers jsonb NOT NULL DEFAULT '{}'::jsonb,
    told_at timestamp with time zone,
    CONSTRAINT a_change_is_to_another_state CHECK ((was IS DISTINCT FROM state)),
    CONSTRAINT duty_changes_pkey PRIMARY KEY (change_id)
);

CREATE TABLE ledger.duty_told (
    change_id bigint NOT NULL,
    receiver integer NOT NULL,
    at timestamp with time zone NOT NULL,
    CONSTRAINT duty_told_pkey PRIMARY KEY (change_id, receiver)
);

CREATE TABLE ledger.expired_months (
    month text NOT NULL,
    begins timestamp with time zone NOT NULL,
    ends timestamp with time zone NOT NULL,
    dropped_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
    files bigint NOT NULL,
    rows bigint NOT NULL,
    CONSTRAINT expired_months_pkey PRIMARY KEY (begins, dropped_at)
);

CREATE TABLE ledger.failed_refresh (
    failed_at timestamp with time zone NOT NULL,
    report text,
    error text NOT NULL
);

CREATE TABLE ledger.feeds (
    contract text NOT NULL,
    drift jsonb,
    since timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
    since_file bigint NOT NULL,
    CONSTRAINT feeds_pkey PRIMARY KEY (contract)
);

CREATE TABLE ledger.files (
    file_id bigint GENERATED ALWAYS AS IDENTITY NOT NULL,
    name text NOT NULL,
    path text NOT NULL,
    sha256 text NOT NULL,
    bytes bigint NOT NULL,
    contract text,
    contract_version text,
    state text NOT NULL DEFAULT 'landed'::text,
    rows_read bigint,
    rows_loaded bigint,
    rows_rejected bigint,
    rows_duplicate bigint,
    rows_warned bigint,
    landed_at timestamp with time zone NOT NULL,
    moved_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
    loaded_at timestamp with time zone,
    claim bigint,
    epoch bigint,
    host text,
    duplicate_of bigint,
    sealed_at timestamp with time zone,
    error text,
    header jsonb,
    marked_encoding text,
    drift jsonb,
    filled jsonb,
    rejected_for text,
    landed_again_at timestamp with time zone,
    waits_for text,
    waits_under text,
    receipt text,
    receipt_version smallint,
    receipt_at timestamp with time zone,
    read_as jsonb,
    lane text NOT NULL DEFAULT 'small'::text,
    rows_landed_at timestamp with time zone,
    first_event_time timestamp with time zone,
    last_event_time timestamp with time zone,
    merged_at timestamp with time zone,
    rows_expired bigint NOT NULL DEFAULT 0,
    expired_records numeric NOT NULL DEFAULT 0,
    claimed_at timestamp with time zone,
    rejected_at timestamp with time zone,
    CONSTRAINT a_file_is_in_a_known_state CHECK ((state = ANY (ARRAY['landed'::text, 'loaded'::text, 'rejected'::text, 'duplicate'::text, 'replaced'::text, 'unloaded'::text]))),
    CONSTRAINT a_file_is_rejected_for_a_known_cause CHECK ((rejected_for = ANY (ARRAY['content'::text, 'name'::text, 'undoes'::text, 'changed'::text, 'gone'::text]))),
    CONSTRAINT a_file_lies_in_one_of_our_folders CHECK (((path = ''::text) OR ((path ~ '^(incoming|processing|archive)/'::text) AND (path !~ '/\.\.(/|$)'::text)))),
    CONSTRAINT a_file_that_waits_says_under_what CHECK (((waits_for IS NULL) = (waits_under IS NULL))),
    CONSTRAINT a_lane_is_known CHECK ((lane = ANY (ARRAY['small'::text, 'big'::text]))),
    CONSTRAINT a_loaded_file_has_its_tally CHECK (((state <> 'loaded'::text) OR ((rows_read IS NOT NULL) AND (rows_loaded IS NOT NULL) AND (rows_rejected IS NOT NULL) AND (rows_duplicate IS NOT NULL) AND (loaded_at IS NOT NULL) AND (contract IS NOT NULL)))),
    CONSTRAINT a_receipt_is_whole_or_pending CHECK (((num_nonnulls(receipt, receipt_version, receipt_at) = ANY (ARRAY[0, 3])) AND ((receipt IS NULL) OR (receipt ~ '^[0-9a-f]{32}$'::text)) AND ((receipt_version IS NULL) OR (receipt_version = 1)))),
    CONSTRAINT a_sha256_is_64_hex_digits CHECK ((sha256 ~ '^[0-9a-f]{64}$'::text)),
    CONSTRAINT files_pkey PRIMARY KEY (file_id),
    CONSTRAINT rows_are_conserved CHECK (((state <> 'loaded'::text) OR (rows_read = ((rows_loaded + rows_rejected) + rows_duplicate)))),
    CONSTRAINT what_a_file_waits_for_is_known CHECK ((waits_for = 'contract'::text)),
    CONSTRAINT what_expires_was_loaded CHECK (((rows_expired >= 0) AND (rows_expired <= COALESCE(rows_loaded, (0)::bigint))))
);

CREATE TABLE ledger.identity (
    only_one boolean NOT NULL DEFAULT true,
    ledger_id uuid NOT NULL DEFAULT gen_random_uuid(),
    folders_marked_at timestamp with time zone,
    CONSTRAINT a_ledger_has_one_identity CHECK (only_one),
    CONSTRAINT identity_pkey PRIMARY KEY (only_one)
);

CREATE TABLE ledger.insistences (
    insistence_id bigint GENERATED ALWAYS AS IDENTITY NOT NULL,
    at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
    name text NOT NULL,
    sha256 text NOT NULL,
    reason text NOT NULL,
    by_whom text NOT NULL,
    file_id bigint,
    CONSTRAINT a_sha256_is_64_hex_digits CHECK ((sha256 ~ '^[0-9a-f]{64}$'::text)),
    CONSTRAINT insistences_file_id_key UNIQUE (file_id),
    CONSTRAINT insistences_pkey PRIMARY KEY (insistence_id)
);

CREATE TABLE ledger.merges (
    begun_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
    files bigint NOT NULL,
    rows bigint NOT NULL,
    conflicts bigint NOT NULL,
    duplicates bigint NOT NULL,
    waiting jsonb NOT NULL,
    CONSTRAINT merges_pkey PRIMARY KEY (begun_at)
);

CREATE TABLE ledger.recounts (
    recount_id bigint GENERATED ALWAYS AS IDENTITY NOT NULL,
    begun_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
    days double precision,
    files bigint NOT NULL,
    rows bigint NOT NULL,
    holds boolean NOT NULL,
    problems bigint NOT NULL,
    CONSTRAINT a_recount_holds_without_problems CHECK ((holds = (problems = 0))),
    CONSTRAINT recounts_pkey PRIMARY KEY (recount_id)
);

CREATE TABLE ledger.rejects (
    file_id bigint NOT NULL,
    record_number bigint NOT NULL,
    line_number bigint NOT NULL,
    raw bytea NOT NULL,
    fields jsonb,
    rules text[] NOT NULL,
    error_class text NOT NULL,
    contract text NOT NULL,
    contract_version text NOT NULL,
    state text NOT NULL DEFAULT 'quarantined'::text,
    rejected_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
    replayed_at timestamp with time zone,
    edited_at timestamp with time zone,
    CONSTRAINT a_reject_is_in_a_known_state CHECK ((state = ANY (ARRAY['quarantined'::text, 'replayed'::text, 'duplicate'::text, 'withdrawn'::text]))),
    CONSTRAINT a_reject_is_of_a_known_class CHECK ((error_class = ANY (ARRAY['parse'::text, 'type'::text, 'rule'::text, 'conflict'::text]))),
    CONSTRAINT a_reject_says_why CHECK ((cardinality(rules) > 0)),
    CONSTRAINT rejects_pkey PRIMARY KEY (file_id, record_number)
);

CREATE TABLE ledger.report_changes (
    change_id bigint GENERATED ALWAYS AS IDENTITY NOT NULL,
    file_id bigint,
    feed text,
    day date,
    CONSTRAINT a_change_is_of_a_file_or_of_a_day CHECK (((num_nonnulls(file_id, feed) = 1) AND (num_nonnulls(file_id, day) = 1))),
    CONSTRAINT report_changes_pkey PRIMARY KEY (change_id)
);

CREATE TABLE ledger.retentions (
    expired_before timestamp with time zone NOT NULL,
    since timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT a_retention_is_a_moment CHECK (isfinite(expired_before)),
    CONSTRAINT retentions_pkey PRIMARY KEY (expired_before)
);

CREATE TABLE ledger.streams (
    epoch bigint GENERATED ALWAYS AS IDENTITY NOT NULL,
    token uuid NOT NULL DEFAULT gen_random_uuid(),
    submitted_by text NOT NULL,
    submitted_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
    started_at timestamp with time zone,
    lease_until timestamp with time zone NOT NULL,
    stop_requested timestamp with time zone,
    ended_at timestamp with time zone,
    ended_because text,
    host text,
    pid integer,
    state text NOT NULL DEFAULT 'submitted'::text,
    state_since timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
    last_error text,
    last_error_at timestamp with time zone,
    lease_from timestamp with time zone NOT NULL DEFAULT '-infinity'::timestamp with time zone,
    ended_how text,
    generation integer NOT NULL DEFAULT 1,
    run_id text,
    CONSTRAINT a_stream_ends_in_a_known_way CHECK ((ended_how = ANY (ARRAY['asked'::text, 'drained'::text, 'submitter_died'::text, 'signal'::text, 'life_over'::text, 'fenced'::text, 'environment'::text, 'spark_died'::text, 'failed'::text, 'restored'::text, 'unknown'::text]))),
    CONSTRAINT a_stream_is_in_a_known_state CHECK ((state = ANY (ARRAY['submitted'::text, 'running'::text, 'waiting'::text, 'ended'::text, 'fenced'::text]))),
    CONSTRAINT a_stream_knows_the_months CHECK (((ended_at IS NOT NULL) OR (generation >= 2))),
    CONSTRAINT an_ended_stream_says_how CHECK (((ended_at IS NULL) = (ended_how IS NULL))),
    CONSTRAINT an_ended_stream_says_when CHECK (((state = ANY (ARRAY['ended'::text, 'fenced'::text])) = (ended_at IS NOT NULL))),
    CONSTRAINT streams_pkey PRIMARY KEY (epoch),
    CONSTRAINT streams_token_key UNIQUE (token)
);

CREATE TABLE ledger.tellers (
    teller text NOT NULL,
    wants text[] NOT NULL,
    since timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
    seen_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT tellers_pkey PRIMARY KEY (teller)
);

CREATE TABLE ledger.untold (
    untold_id bigint GENERATED ALWAYS AS IDENTITY NOT NULL,
    news_id uuid NOT NULL DEFAULT gen_random_uuid(),
    teller text NOT NULL,
    news text NOT NULL,
    at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
    file_id bigint,
    details jsonb NOT NULL,
    CONSTRAINT news_are_of_a_known_kind CHECK ((news = ANY (ARRAY['loaded'::text, 'rejected'::text, 'changed'::text, 'withdrawn'::text, 'batch'::text, 'refreshed'::text]))),
    CONSTRAINT untold_pkey PRIMARY KEY (untold_id)
);

CREATE TABLE public.events (
    event_id uuid NOT NULL,
    event_type text NOT NULL,
    event_time timestamp with time zone NOT NULL,
    user_id text,
    product_id text,
    category text,
    price numeric(20,4),
    session_id text,
    ip_address text,
    user_agent text,
    search_query text,
    search_results_count bigint,
    quantity bigint,
    total_amount numeric(20,4),
    payment_method text,
    extra jsonb,
    file_id bigint NOT NULL,
    record_number bigint NOT NULL
) PARTITION BY RANGE (event_time);

CREATE TABLE public.sluice_migrations (
    name text NOT NULL,
    applied_at timestamp with time zone NOT NULL DEFAULT now(),
    CONSTRAINT sluice_migrations_pkey PRIMARY KEY (name)
);

CREATE TABLE report.feeds (
    feed text NOT NULL,
    currency text NOT NULL DEFAULT ''::text,
    counts_sales boolean NOT NULL DEFAULT true,
    is_generated boolean NOT NULL DEFAULT false,
    is_of_shop boolean NOT NULL DEFAULT true,
    CONSTRAINT feeds_pkey PRIMARY KEY (feed)
);

CREATE TABLE report.last_refresh (
    built_by text NOT NULL,
    as_of timestamp with time zone NOT NULL,
    zone text NOT NULL,
    changes bigint NOT NULL,
    seconds numeric NOT NULL,
    is_whole boolean NOT NULL,
    events bigint NOT NULL,
    sales bigint NOT NULL,
    revenue numeric NOT NULL
);

CREATE TABLE report_cells.built (
    name text NOT NULL,
    digest text NOT NULL,
    zone text NOT NULL,
    CONSTRAINT built_pkey PRIMARY KEY (name)
);

CREATE TABLE report_cells.comparisons (
    compared_at timestamp with time zone NOT NULL,
    feed text NOT NULL,
    unit date NOT NULL,
    report text NOT NULL,
    differences jsonb NOT NULL,
    CONSTRAINT comparisons_pkey PRIMARY KEY (compared_at)
);

-- Partitions

CREATE TABLE public.events_before_2000_01 PARTITION OF public.events (
    CONSTRAINT events_before_2000_01_pkey PRIMARY KEY (event_id)
) FOR VALUES FROM (MINVALUE) TO ('2000-01-01 00:00:00+00');

CREATE TABLE public.events_from_2100_01 PARTITION OF public.events (
    CONSTRAINT events_from_2100_01_pkey PRIMARY KEY (event_id)
) FOR VALUES FROM ('2100-01-01 00:00:00+00') TO (MAXVALUE);

-- References

ALTER TABLE ledger.audit ADD CONSTRAINT audit_file_id_fkey FOREIGN KEY (file_id) REFERENCES ledger.files(file_id);
ALTER TABLE ledger.batches ADD CONSTRAINT batches_epoch_fkey FOREIGN KEY (epoch) REFERENCES ledger.streams(epoch);
ALTER TABLE ledger.duplicates ADD CONSTRAINT duplicates_file_id_fkey FOREIGN KEY (file_id) REFERENCES ledger.files(file_id);
ALTER TABLE ledger.duty_told ADD CONSTRAINT duty_told_change_id_fkey FOREIGN KEY (change_id) REFERENCES ledger.duty_changes(change_id) ON DELETE CASCADE;
ALTER TABLE ledger.feeds ADD CONSTRAINT feeds_since_file_fkey FOREIGN KEY (since_file) REFERENCES ledger.files(file_id);
ALTER TABLE ledger.files ADD CONSTRAINT files_duplicate_of_fkey FOREIGN KEY (duplicate_of) REFERENCES ledger.files(file_id);
ALTER TABLE ledger.insistences ADD CONSTRAINT insistences_file_id_fkey FOREIGN KEY (file_id) REFERENCES ledger.files(file_id);
ALTER TABLE ledger.rejects ADD CONSTRAINT rejects_file_id_fkey FOREIGN KEY (file_id) REFERENCES ledger.files(file_id);

-- Indexes

CREATE UNIQUE INDEX a_claim_is_of_one_file ON ledger.files USING btree (claim) WHERE (claim IS NOT NULL);
CREATE UNIQUE INDEX a_wish_waits_once ON ledger.insistences USING btree (sha256, name) WHERE (file_id IS NULL);
CREATE INDEX audit_by_file ON ledger.audit USING btree (file_id);
CREATE INDEX audit_by_revision ON ledger.audit USING btree ((((details ->> 'replaced_by'::text))::bigint)) WHERE (action = 'replace'::text);
CREATE INDEX audit_by_time ON ledger.audit USING btree (at);
CREATE INDEX batches_by_time ON ledger.batches USING btree (committed_at);
CREATE INDEX duplicates_by_bytes ON ledger.files USING btree (sha256) WHERE (state = 'duplicate'::text);
CREATE INDEX duplicates_by_event ON ledger.duplicates USING btree (event_id);
CREATE INDEX duty_changes_by_subject ON ledger.duty_changes USING btree (kind, name, change_id);
CREATE INDEX files_by_feed ON ledger.files USING btree (contract, file_id) WHERE (state = 'loaded'::text);
CREATE INDEX files_by_feed_not_loaded ON ledger.files USING btree (contract, file_id) WHERE (state = ANY (ARRAY['rejected'::text, 'replaced'::text, 'unloaded'::text]));
CREATE INDEX files_by_landing ON ledger.files USING btree (landed_at, file_id);
CREATE INDEX files_by_loaded_at ON ledger.files USING btree (loaded_at) WHERE (loaded_at IS NOT NULL);
CREATE INDEX files_by_name ON ledger.files USING btree (name text_pattern_ops, file_id);
CREATE INDEX files_claimed_and_waiting ON ledger.files USING btree (lane, claim) WHERE ((state = 'landed'::text) AND (waits_for IS NULL) AND (claim IS NOT NULL));
CREATE INDEX files_landed_by_name ON ledger.files USING btree (name) WHERE (state = 'landed'::text);
CREATE INDEX files_not_loaded ON ledger.files USING btree (state, file_id) WHERE ((state = ANY (ARRAY['rejected'::text, 'duplicate'::text, 'replaced'::text, 'unloaded'::text])) OR (waits_for IS NOT NULL));
CREATE INDEX files_to_merge ON ledger.files USING btree (file_id) WHERE ((state = 'loaded'::text) AND (merged_at IS NULL));
CREATE INDEX files_to_seal ON ledger.files USING btree (loaded_at, file_id) WHERE ((state = 'loaded'::text) AND (sealed_at IS NULL));
CREATE INDEX files_unclaimed ON ledger.files USING btree (lane, file_id) WHERE ((state = 'landed'::text) AND (waits_for IS NULL) AND (claim IS NULL));
CREATE INDEX files_waiting ON ledger.files USING btree (file_id) WHERE ((state = 'landed'::text) AND (waits_for IS NULL));
CREATE INDEX files_waiting_for_contract ON ledger.files USING btree (waits_under) WHERE (waits_for IS NOT NULL);
CREATE INDEX files_without_receipt ON ledger.files USING btree (file_id) WHERE ((state = 'loaded'::text) AND (receipt IS NULL));
CREATE INDEX files_without_rows ON ledger.files USING btree (file_id) WHERE (state = ANY (ARRAY['rejected'::text, 'duplicate'::text]));
CREATE UNIQUE INDEX one_stream_at_a_time ON ledger.streams USING btree ((true)) WHERE (ended_at IS NULL);
CREATE INDEX rejects_by_time ON ledger.rejects USING btree (rejected_at) WHERE (state = 'quarantined'::text);
CREATE INDEX rejects_in_quarantine ON ledger.rejects USING btree (contract, file_id) WHERE (state = 'quarantined'::text);
CREATE UNIQUE INDEX the_same_bytes_load_once ON ledger.files USING btree (sha256) WHERE (state = ANY (ARRAY['landed'::text, 'loaded'::text]));
CREATE INDEX untold_by_teller ON ledger.untold USING btree (teller, untold_id);
CREATE INDEX events_by_file ON public.events USING brin (file_id) WITH (pages_per_range='32', autosummarize='on');
CREATE INDEX events_by_time ON public.events USING brin (event_time) WITH (pages_per_range='32', autosummarize='on');

-- Functions

CREATE OR REPLACE FUNCTION ledger.analyze_events()
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
    -- Before 18 there is no leaving out the partitions.
    EXECUTE CASE WHEN current_setting('server_version_num')::integer < 180000
        THEN 'ANALYZE public.events'
        ELSE 'ANALYZE ONLY public.events'
    END;
END
$function$;

CREATE OR REPLACE FUNCTION ledger.changes_waiting(begins timestamp with time zone, ends timestamp with time zone)
 RETURNS bigint
 LANGUAGE sql
 STABLE PARALLEL SAFE
AS $function$
    SELECT count(*)
    FROM ledger.report_changes AS change
    LEFT JOIN ledger.files USING (file_id)
    WHERE CASE
        WHEN change.file_id IS NULL THEN
            change.day >= (begins AT TIME ZONE 'UTC')::date AND change.day::timestamp AT TIME ZONE 'UTC' < ends
        ELSE coalesce(first_event_time, '-infinity') < ends AND coalesce(last_event_time, 'infinity') >= begins
    END
$function$;

CREATE OR REPLACE FUNCTION ledger.count_file()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
DECLARE
    is_same   constant boolean := TG_OP = 'UPDATE' AND OLD.state = NEW.state;
    is_loaded constant boolean := NEW.state = 'loaded';
    rejected  constant bigint := CASE
        WHEN is_loaded THEN NEW.rows_rejected - CASE WHEN is_same THEN OLD.rows_rejected ELSE 0 END
    END;
    seconds   constant double precision := CASE
        WHEN is_loaded AND NOT is_same AND TG_OP = 'UPDATE'
        THEN greatest(extract(epoch FROM NEW.loaded_at - coalesce(NEW.landed_again_at, NEW.landed_at)), 0)
    END;
BEGIN
    INSERT INTO ledger.counts (contract, what, label, amount)
    SELECT coalesce(NEW.contract, 'unknown'), what, label, amount
    FROM (
        VALUES
            ('files', NEW.state, CASE WHEN NOT is_same THEN 1.0::double precision END),
            (
                'rows', 'loaded',
                CASE WHEN is_loaded THEN NEW.rows_loaded - CASE WHEN is_same THEN OLD.rows_loaded ELSE 0 END END
            ),
            ('rows', 'rejected', rejected),
            (
                'rows', 'duplicate',
                CASE WHEN is_loaded THEN NEW.rows_duplicate - CASE WHEN is_same THEN OLD.rows_duplicate ELSE 0 END END
            ),
            ('rows', 'withdrawn', CASE WHEN NEW.state IN ('unloaded', 'replaced') AND TG_OP = 'UPDATE' THEN OLD.rows_loaded END),
            -- A load says itself which rules its rejects break. Of a loaded file only the merge sets rows aside.
            ('rejects', 'event_id.conflict', CASE WHEN is_same THEN rejected END),
            (
                'lag',
                CASE
                    WHEN seconds <= 0.5 THEN '0.5'
                    WHEN seconds <= 1 THEN '1'
                    WHEN seconds <= 2 THEN '2'
                    WHEN seconds <= 5 THEN '5'
                    WHEN seconds <= 10 THEN '10'
                    WHEN seconds <= 30 THEN '30'
                    WHEN seconds <= 60 THEN '60'
                    WHEN seconds <= 300 THEN '300'
                    WHEN seconds <= 900 THEN '900'
                    WHEN seconds <= 3600 THEN '3600'
                    ELSE '+Inf'
                END,
                CASE WHEN seconds IS NOT NULL THEN 1 END
            ),
            ('lag_seconds', '', seconds)
    ) AS counted (what, label, amount)
    WHERE amount > 0;
    RETURN NULL;
END
$function$;

CREATE OR REPLACE FUNCTION ledger.digest(of_file bigint)
 RETURNS text
 LANGUAGE sql
 STABLE PARALLEL SAFE
AS $function$
    SELECT ledger.receipt_of(bit_xor(ledger.row_digest(present))) FROM ledger.rows_of(of_file) AS present
$function$;

CREATE OR REPLACE FUNCTION ledger.drop_month(of_month text)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
    LOCK TABLE report.last_refresh IN ROW EXCLUSIVE MODE;
    PERFORM ledger.hold_month(of_month);
    EXECUTE format('DROP TABLE public.%I', of_month);
END
$function$;

CREATE OR REPLACE FUNCTION ledger.expired_before()
 RETURNS timestamp with time zone
 LANGUAGE sql
 STABLE PARALLEL SAFE
AS $function$
    SELECT coalesce(max(expired_before), '-infinity') FROM ledger.retentions
$function$;

CREATE OR REPLACE FUNCTION ledger.hold_month(of_month text)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
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
$function$;

CREATE OR REPLACE FUNCTION ledger.make_month(of_day date, size text DEFAULT 'month'::text, although_expired boolean DEFAULT false)
 RETURNS TABLE(month text, begins timestamp with time zone, ends timestamp with time zone)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET "TimeZone" TO 'UTC'
 SET "DateStyle" TO 'ISO'
AS $function$
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
$function$;

CREATE OR REPLACE FUNCTION ledger.months()
 RETURNS TABLE(month text, begins timestamp with time zone, ends timestamp with time zone)
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET "TimeZone" TO 'UTC'
 SET "DateStyle" TO 'ISO'
AS $function$
    SELECT
        relname::text,
        CASE WHEN bounds[1] = 'MINVALUE' THEN '-infinity' ELSE btrim(bounds[1], '''') END::timestamptz,
        CASE WHEN bounds[2] = 'MAXVALUE' THEN 'infinity' ELSE btrim(bounds[2], '''') END::timestamptz
    FROM pg_inherits
    JOIN pg_class ON pg_class.oid = inhrelid
    CROSS JOIN LATERAL regexp_match(pg_get_expr(relpartbound, pg_class.oid), 'FROM \((.+)\) TO \((.+)\)') AS bounds
    WHERE inhparent = to_regclass('public.events') AND NOT inhdetachpending AND bounds IS NOT NULL
    ORDER BY 2
$function$;

CREATE OR REPLACE FUNCTION ledger.note_days()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
    INSERT INTO ledger.report_changes (feed, day)
    SELECT DISTINCT coalesce(contract, 'unknown'), of_file.day
    FROM (SELECT DISTINCT file_id, (event_time AT TIME ZONE 'UTC')::date AS day FROM gone) AS of_file
    LEFT JOIN ledger.files USING (file_id);
    RETURN NULL;
END
$function$;

CREATE OR REPLACE FUNCTION ledger.note_edit()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
BEGIN
    NEW.edited_at := clock_timestamp();
    RETURN NEW;
END
$function$;

CREATE OR REPLACE FUNCTION ledger.note_file()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
    INSERT INTO ledger.report_changes (file_id) VALUES (NEW.file_id);
    RETURN NULL;
END
$function$;

CREATE OR REPLACE FUNCTION ledger.note_news_of_batch()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
    INSERT INTO ledger.untold (teller, news, details)
    SELECT teller, 'batch', jsonb_build_object('epoch', NEW.epoch, 'lane', NEW.lane, 'batch', NEW.batch)
    FROM ledger.tellers
    WHERE 'batch' = ANY (wants);
    RETURN NULL;
END
$function$;

CREATE OR REPLACE FUNCTION ledger.note_news_of_file()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
DECLARE
    kind constant text := CASE
        WHEN NEW.state = 'loaded' AND OLD.state IS DISTINCT FROM 'loaded' THEN 'loaded'
        WHEN NEW.state = 'loaded' THEN 'changed'
        WHEN NEW.state = 'rejected' AND OLD.state IS DISTINCT FROM 'rejected' THEN 'rejected'
        WHEN NEW.state IN ('unloaded', 'replaced') AND OLD.state = 'loaded' THEN 'withdrawn'
    END;
BEGIN
    INSERT INTO ledger.untold (teller, news, file_id, details)
    SELECT
        teller, kind, NEW.file_id,
        jsonb_build_object(
            'state', NEW.state, 'epoch', NEW.epoch, 'lane', NEW.lane, 'rows_read', NEW.rows_read,
            'rows_loaded', NEW.rows_loaded, 'rows_rejected', NEW.rows_rejected, 'rows_duplicate', NEW.rows_duplicate,
            'rows_before', OLD.rows_loaded
        )
    FROM ledger.tellers
    WHERE kind = ANY (wants);
    RETURN NULL;
END
$function$;

CREATE OR REPLACE FUNCTION ledger.note_news_of_reports()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
    INSERT INTO ledger.untold (teller, news, details)
    SELECT teller, 'refreshed', to_jsonb(NEW)
    FROM ledger.tellers
    WHERE 'refreshed' = ANY (wants);
    RETURN NULL;
END
$function$;

CREATE OR REPLACE FUNCTION ledger.receipt_after(receipt text, digests bit)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
    SELECT ledger.receipt_of(('x' || receipt)::bit(128) # digests)
$function$;

CREATE OR REPLACE FUNCTION ledger.receipt_columns()
 RETURNS text[]
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
    SELECT ARRAY[
        'record_number', 'event_id', 'event_type', 'event_time', 'user_id', 'product_id', 'category', 'price',
        'session_id', 'ip_address', 'user_agent', 'search_query', 'search_results_count', 'quantity', 'total_amount',
        'payment_method', 'extra'
    ]
$function$;

CREATE OR REPLACE FUNCTION ledger.receipt_of(digests bit)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
    SELECT lpad(to_hex(coalesce(digests, B'0'::bit(128))::bit(64)::bigint), 16, '0')
        || lpad(to_hex((coalesce(digests, B'0'::bit(128)) << 64)::bit(64)::bigint), 16, '0')
$function$;

CREATE OR REPLACE FUNCTION ledger.refuse_edit()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
BEGIN
    RAISE EXCEPTION 'reject % of file % is %: its fields are edited only while it is quarantined',
        OLD.record_number, OLD.file_id, OLD.state
        USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = CASE OLD.state
                WHEN 'withdrawn' THEN 'Its file was taken back: correct the file and land it again.'
                ELSE 'Its row is in events: unload the file, correct it and land it again.'
            END;
END
$function$;

CREATE OR REPLACE FUNCTION ledger.row_digest(event public.events)
 RETURNS bit
 LANGUAGE sql
 STABLE PARALLEL SAFE
AS $function$
    SELECT ('x' || md5(format(
        '%L,%L,%L,%L,%L,%L,%L,%L,%L,%L,%L,%L,%L,%L,%L,%L,%L',
        event.record_number, event.event_id, event.event_type, extract(epoch FROM event.event_time), event.user_id,
        event.product_id, event.category, event.price, event.session_id, event.ip_address, event.user_agent,
        event.search_query, event.search_results_count, event.quantity, event.total_amount, event.payment_method,
        event.extra
    )))::bit(128)
$function$;

CREATE OR REPLACE FUNCTION ledger.rows_of(of_file bigint)
 RETURNS SETOF public.events
 LANGUAGE sql
 STABLE PARALLEL SAFE
AS $function$
    SELECT *
    FROM public.events
    WHERE file_id = of_file
        AND event_time >= (SELECT ledger.since(min(first_event_time)) FROM ledger.files WHERE files.file_id = of_file)
        AND event_time <= (SELECT ledger.until(max(last_event_time)) FROM ledger.files WHERE files.file_id = of_file)
$function$;

CREATE OR REPLACE FUNCTION ledger.since(first_event_time timestamp with time zone)
 RETURNS timestamp with time zone
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
    SELECT coalesce(date_trunc('month', first_event_time AT TIME ZONE 'UTC') AT TIME ZONE 'UTC', '-infinity')
$function$;

CREATE OR REPLACE FUNCTION ledger.until(last_event_time timestamp with time zone)
 RETURNS timestamp with time zone
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
    SELECT coalesce(
        (date_trunc('month', last_event_time AT TIME ZONE 'UTC') + interval '1 month - 1 us') AT TIME ZONE 'UTC', 'infinity'
    )
$function$;

CREATE OR REPLACE FUNCTION ledger.verify(of_file bigint)
 RETURNS jsonb
 LANGUAGE sql
 STABLE PARALLEL SAFE
AS $function$
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
                CASE WHEN coalesce(rows_loaded, 0) <> loaded + rows_expired THEN
                    format(
                        'its ledger entry says rows_loaded=%s of which %s expired, the tables hold %s',
                        coalesce(rows_loaded, 0), rows_expired, loaded
                    )
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
        'rows_expired', rows_expired,
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
$function$;

-- Triggers

CREATE TRIGGER a_batch_with_files_is_news AFTER INSERT ON ledger.batches FOR EACH ROW WHEN ((new.files > 0)) EXECUTE FUNCTION ledger.note_news_of_batch();
CREATE TRIGGER a_file_that_comes_finished_is_news AFTER INSERT ON ledger.files FOR EACH ROW WHEN ((new.state = ANY (ARRAY['loaded'::text, 'rejected'::text]))) EXECUTE FUNCTION ledger.note_news_of_file();
CREATE TRIGGER a_file_that_comes_in_its_last_state_is_counted AFTER INSERT ON ledger.files FOR EACH ROW WHEN ((new.state <> 'landed'::text)) EXECUTE FUNCTION ledger.count_file();
CREATE TRIGGER a_file_that_comes_loaded_is_noted AFTER INSERT ON ledger.files FOR EACH ROW WHEN (((new.state = 'loaded'::text) AND (new.rows_loaded > 0))) EXECUTE FUNCTION ledger.note_file();
CREATE TRIGGER rows_that_come_are_noted AFTER UPDATE OF state, rows_loaded ON ledger.files FOR EACH ROW WHEN (((new.state = 'loaded'::text) AND (new.rows_loaded > 0) AND ((old.state <> 'loaded'::text) OR (new.rows_loaded > old.rows_loaded)))) EXECUTE FUNCTION ledger.note_file();
CREATE TRIGGER what_becomes_of_a_file_is_counted AFTER UPDATE OF state, rows_loaded, rows_rejected, rows_duplicate ON ledger.files FOR EACH ROW WHEN ((((new.state <> 'landed'::text) AND (new.state <> old.state)) OR ((new.state = 'loaded'::text) AND (old.state = 'loaded'::text) AND ((new.rows_loaded IS DISTINCT FROM old.rows_loaded) OR (new.rows_rejected IS DISTINCT FROM old.rows_rejected) OR (new.rows_duplicate IS DISTINCT FROM old.rows_duplicate))))) EXECUTE FUNCTION ledger.count_file();
CREATE TRIGGER what_becomes_of_a_file_is_news AFTER UPDATE OF state, rows_loaded ON ledger.files FOR EACH ROW WHEN ((((new.state <> old.state) AND (new.state <> 'landed'::text)) OR ((new.state = 'loaded'::text) AND (new.rows_loaded <> old.rows_loaded)))) EXECUTE FUNCTION ledger.note_news_of_file();
CREATE TRIGGER an_edit_comes_in_time BEFORE UPDATE OF fields ON ledger.rejects FOR EACH ROW WHEN (((old.state <> 'quarantined'::text) AND (old.fields IS DISTINCT FROM new.fields))) EXECUTE FUNCTION ledger.refuse_edit();
CREATE TRIGGER an_edit_is_noted BEFORE UPDATE OF fields ON ledger.rejects FOR EACH ROW WHEN ((old.fields IS DISTINCT FROM new.fields)) EXECUTE FUNCTION ledger.note_edit();
CREATE TRIGGER rows_that_leave_are_noted AFTER DELETE ON public.events REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION ledger.note_days();
CREATE TRIGGER rows_that_leave_are_noted AFTER DELETE ON public.events_before_2000_01 REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION ledger.note_days();
CREATE TRIGGER rows_that_leave_are_noted AFTER DELETE ON public.events_from_2100_01 REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION ledger.note_days();
CREATE TRIGGER a_refresh_is_news AFTER INSERT ON report.last_refresh FOR EACH ROW EXECUTE FUNCTION ledger.note_news_of_reports();

-- Comments

COMMENT ON TABLE ledger.counts IS 'What has happened: the sum of the amounts of one contract, kind and label only grows, also when a file is taken back';
COMMENT ON COLUMN ledger.counts.contract IS 'unknown: the file has none';
COMMENT ON COLUMN ledger.counts.what IS 'files that came to a state (label), rows that a file came to have (loaded, rejected, duplicate) or that were taken back (withdrawn), rejects by the rule that they break, files by their seconds from landed to queryable (label: up to so many), the sum of these seconds';
COMMENT ON TABLE ledger.dropped_views IS 'Views that went when the tables they stood on were made anew; make them again with: CREATE <kind> <name> AS <definition>';
COMMENT ON TABLE ledger.duty IS 'The present state of each thing that somebody on duty looks after; docs/on-duty.md has kinds and states';
COMMENT ON COLUMN ledger.duty.since IS 'From when on the state holds; where nothing tells, when it was seen first';
COMMENT ON COLUMN ledger.duty.seen_at IS 'When it was looked at last';
COMMENT ON COLUMN ledger.duty.numbers IS 'What it was judged by';
COMMENT ON TABLE ledger.duty_changes IS 'Each change of a state, in order; housekeeping keeps those of SLUICE_KEEP_BATCHES_DAYS';
COMMENT ON COLUMN ledger.duty_changes.was IS 'None: it was never looked at before';
COMMENT ON COLUMN ledger.duty_changes.state IS 'The state from then on; gone: it is not there any more, so nothing is looked at';
COMMENT ON COLUMN ledger.duty_changes.told_at IS 'When the last receiver had confirmed it; none: it waits, there is no receiver, or it did not hold and nobody is told';
COMMENT ON TABLE ledger.duty_told IS 'Which receivers have confirmed a change';
COMMENT ON COLUMN ledger.duty_told.receiver IS 'Its place in SLUICE_ALERT_URL, the first is 1';
COMMENT ON TABLE ledger.expired_months IS 'The partitions of events that were dropped because they were older than the kept months';
COMMENT ON COLUMN ledger.failed_refresh.report IS 'whose file or check failed; none: all of them could not be published';
COMMENT ON COLUMN ledger.files.rows_expired IS 'Of rows_loaded: those that left events when their month was dropped';
COMMENT ON COLUMN ledger.files.expired_records IS 'The sum of the record numbers of the rows that expired';
COMMENT ON TABLE ledger.merges IS 'When the ids of new rows were compared with those of all months, and what was found';
COMMENT ON COLUMN ledger.merges.waiting IS 'By file_id: why later rows of it stay in events until somebody does what is said here';
COMMENT ON TABLE ledger.recounts IS 'One row a `make reconcile` that came to its end, whatever it found; the newest are kept';
COMMENT ON COLUMN ledger.recounts.days IS 'Only files that were loaded or changed in the last so many days; none: all of them';
COMMENT ON TABLE ledger.report_changes IS 'Changes of events that the reports have not counted yet; the refresh that counts them deletes them';
COMMENT ON COLUMN ledger.report_changes.file_id IS 'Rows came to this file: the days that it has rows of are to be counted';
COMMENT ON COLUMN ledger.report_changes.feed IS 'Rows of this feed (the contract of their file; unknown: it has none) have left the day';
COMMENT ON COLUMN ledger.report_changes.day IS 'In UTC; infinity or -infinity where the moments of the rows are';
COMMENT ON TABLE ledger.retentions IS 'Events before the greatest expired_before are rejected, and their months dropped';
COMMENT ON COLUMN ledger.streams.generation IS 'Which tables its release writes: 1 all events in one, 2 by month';
COMMENT ON COLUMN ledger.streams.run_id IS 'The run of ingest_events that submitted it; none: it was no run, or one of an earlier release';
COMMENT ON TABLE ledger.tellers IS 'Each that tells somebody outside of news, and which; housekeeping forgets one that has not been seen for long';
COMMENT ON TABLE ledger.untold IS 'News that a teller has not told yet; it deletes what it has told';
COMMENT ON COLUMN ledger.untold.news IS 'Of a file: loaded, rejected, changed (other rows than before count as its own), withdrawn; a micro-batch; reports refreshed';
COMMENT ON TABLE report.feeds IS 'One row a feed, by the name of its contract';
COMMENT ON COLUMN report.feeds.currency IS 'ISO 4217 code of its amounts, by its contract''s reportCurrency; empty when the contract does not say it';
COMMENT ON COLUMN report.feeds.counts_sales IS 'Whether its purchases and cancellations are sales, by its contract''s sales';
COMMENT ON COLUMN report.feeds.is_generated IS 'Whether it is the one that the generator writes';
COMMENT ON COLUMN report.feeds.is_of_shop IS 'Whether the shop''s own totals have it: by SLUICE_SHOP_FEEDS, or else all but the generator''s';
COMMENT ON TABLE report.last_refresh IS 'One row: who refreshed the reports last, the moment their numbers are of, and what all feeds add up to';
COMMENT ON COLUMN report.last_refresh.is_whole IS 'Whether a report was counted from nothing, which takes longer than what comes after it';

-- Grants

GRANT USAGE ON SCHEMA ledger TO sluice_reader;
GRANT USAGE ON SCHEMA ledger TO sluice_writer;
GRANT EXECUTE ON FUNCTION ledger.analyze_events() TO sluice_writer;
REVOKE ALL ON FUNCTION ledger.analyze_events() FROM PUBLIC;
GRANT DELETE, INSERT, SELECT ON TABLE ledger.arrivals TO sluice_writer;
GRANT SELECT ON TABLE ledger.arrivals TO sluice_reader;
GRANT INSERT, SELECT ON TABLE ledger.audit TO sluice_writer;
GRANT SELECT ON TABLE ledger.audit TO sluice_reader;
GRANT DELETE, INSERT, SELECT, UPDATE ON TABLE ledger.batches TO sluice_writer;
GRANT SELECT ON TABLE ledger.batches TO sluice_reader;
GRANT EXECUTE ON FUNCTION ledger.changes_waiting(begins timestamp with time zone, ends timestamp with time zone) TO sluice_reader;
GRANT EXECUTE ON FUNCTION ledger.changes_waiting(begins timestamp with time zone, ends timestamp with time zone) TO sluice_writer;
REVOKE ALL ON FUNCTION ledger.changes_waiting(begins timestamp with time zone, ends timestamp with time zone) FROM PUBLIC;
GRANT INSERT, SELECT, UPDATE ON TABLE ledger.contracts TO sluice_writer;
GRANT SELECT ON TABLE ledger.contracts TO sluice_reader;
REVOKE ALL ON FUNCTION ledger.count_file() FROM PUBLIC;
GRANT DELETE, INSERT, SELECT ON TABLE ledger.counts TO sluice_writer;
GRANT SELECT ON TABLE ledger.counts TO sluice_reader;
GRANT EXECUTE ON FUNCTION ledger.digest(of_file bigint) TO sluice_reader;
GRANT EXECUTE ON FUNCTION ledger.digest(of_file bigint) TO sluice_writer;
REVOKE ALL ON FUNCTION ledger.digest(of_file bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.drop_month(of_month text) TO sluice_writer;
REVOKE ALL ON FUNCTION ledger.drop_month(of_month text) FROM PUBLIC;
GRANT SELECT ON TABLE ledger.dropped_views TO sluice_reader;
GRANT SELECT ON TABLE ledger.dropped_views TO sluice_writer;
GRANT DELETE, INSERT, SELECT, UPDATE ON TABLE ledger.duplicates TO sluice_writer;
GRANT SELECT ON TABLE ledger.duplicates TO sluice_reader;
GRANT DELETE, INSERT, SELECT, UPDATE ON TABLE ledger.duty TO sluice_writer;
GRANT SELECT ON TABLE ledger.duty TO sluice_reader;
GRANT DELETE, INSERT, SELECT, UPDATE ON TABLE ledger.duty_changes TO sluice_writer;
GRANT SELECT ON TABLE ledger.duty_changes TO sluice_reader;
GRANT INSERT, SELECT ON TABLE ledger.duty_told TO sluice_writer;
GRANT SELECT ON TABLE ledger.duty_told TO sluice_reader;
GRANT EXECUTE ON FUNCTION ledger.expired_before() TO sluice_reader;
GRANT EXECUTE ON FUNCTION ledger.expired_before() TO sluice_writer;
REVOKE ALL ON FUNCTION ledger.expired_before() FROM PUBLIC;
GRANT INSERT, SELECT ON TABLE ledger.expired_months TO sluice_writer;
GRANT SELECT ON TABLE ledger.expired_months TO sluice_reader;
GRANT DELETE, INSERT, SELECT ON TABLE ledger.failed_refresh TO sluice_reader;
GRANT DELETE, SELECT ON TABLE ledger.failed_refresh TO sluice_writer;
GRANT INSERT, SELECT, UPDATE ON TABLE ledger.feeds TO sluice_writer;
GRANT SELECT ON TABLE ledger.feeds TO sluice_reader;
GRANT INSERT, SELECT, UPDATE ON TABLE ledger.files TO sluice_writer;
GRANT SELECT ON TABLE ledger.files TO sluice_reader;
GRANT EXECUTE ON FUNCTION ledger.hold_month(of_month text) TO sluice_writer;
REVOKE ALL ON FUNCTION ledger.hold_month(of_month text) FROM PUBLIC;
GRANT SELECT ON TABLE ledger.identity TO sluice_reader;
GRANT SELECT, UPDATE ON TABLE ledger.identity TO sluice_writer;
GRANT INSERT, SELECT, UPDATE ON TABLE ledger.insistences TO sluice_writer;
GRANT SELECT ON TABLE ledger.insistences TO sluice_reader;
GRANT EXECUTE ON FUNCTION ledger.make_month(of_day date, size text, although_expired boolean) TO sluice_writer;
REVOKE ALL ON FUNCTION ledger.make_month(of_day date, size text, although_expired boolean) FROM PUBLIC;
GRANT INSERT, SELECT ON TABLE ledger.merges TO sluice_writer;
GRANT SELECT ON TABLE ledger.merges TO sluice_reader;
GRANT EXECUTE ON FUNCTION ledger.months() TO sluice_reader;
GRANT EXECUTE ON FUNCTION ledger.months() TO sluice_writer;
REVOKE ALL ON FUNCTION ledger.months() FROM PUBLIC;
REVOKE ALL ON FUNCTION ledger.note_days() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.note_edit() TO PUBLIC;
REVOKE ALL ON FUNCTION ledger.note_file() FROM PUBLIC;
REVOKE ALL ON FUNCTION ledger.note_news_of_batch() FROM PUBLIC;
REVOKE ALL ON FUNCTION ledger.note_news_of_file() FROM PUBLIC;
REVOKE ALL ON FUNCTION ledger.note_news_of_reports() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.receipt_after(receipt text, digests bit) TO sluice_reader;
GRANT EXECUTE ON FUNCTION ledger.receipt_after(receipt text, digests bit) TO sluice_writer;
REVOKE ALL ON FUNCTION ledger.receipt_after(receipt text, digests bit) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.receipt_columns() TO sluice_reader;
GRANT EXECUTE ON FUNCTION ledger.receipt_columns() TO sluice_writer;
REVOKE ALL ON FUNCTION ledger.receipt_columns() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.receipt_of(digests bit) TO sluice_reader;
GRANT EXECUTE ON FUNCTION ledger.receipt_of(digests bit) TO sluice_writer;
REVOKE ALL ON FUNCTION ledger.receipt_of(digests bit) FROM PUBLIC;
GRANT DELETE, SELECT ON TABLE ledger.recounts TO sluice_writer;
GRANT INSERT, SELECT ON TABLE ledger.recounts TO sluice_reader;
GRANT EXECUTE ON FUNCTION ledger.refuse_edit() TO PUBLIC;
GRANT INSERT, SELECT, UPDATE ON TABLE ledger.rejects TO sluice_writer;
GRANT SELECT ON TABLE ledger.rejects TO sluice_reader;
GRANT DELETE, SELECT ON TABLE ledger.report_changes TO sluice_reader;
GRANT DELETE, SELECT ON TABLE ledger.report_changes TO sluice_writer;
GRANT INSERT, SELECT ON TABLE ledger.retentions TO sluice_writer;
GRANT SELECT ON TABLE ledger.retentions TO sluice_reader;
GRANT EXECUTE ON FUNCTION ledger.row_digest(event public.events) TO sluice_reader;
GRANT EXECUTE ON FUNCTION ledger.row_digest(event public.events) TO sluice_writer;
REVOKE ALL ON FUNCTION ledger.row_digest(event public.events) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.rows_of(of_file bigint) TO sluice_reader;
GRANT EXECUTE ON FUNCTION ledger.rows_of(of_file bigint) TO sluice_writer;
REVOKE ALL ON FUNCTION ledger.rows_of(of_file bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.since(first_event_time timestamp with time zone) TO sluice_reader;
GRANT EXECUTE ON FUNCTION ledger.since(first_event_time timestamp with time zone) TO sluice_writer;
REVOKE ALL ON FUNCTION ledger.since(first_event_time timestamp with time zone) FROM PUBLIC;
GRANT INSERT, SELECT, UPDATE ON TABLE ledger.streams TO sluice_writer;
GRANT SELECT ON TABLE ledger.streams TO sluice_reader;
GRANT DELETE, INSERT, SELECT, UPDATE ON TABLE ledger.tellers TO sluice_writer;
GRANT SELECT ON TABLE ledger.tellers TO sluice_reader;
GRANT EXECUTE ON FUNCTION ledger.until(last_event_time timestamp with time zone) TO sluice_reader;
GRANT EXECUTE ON FUNCTION ledger.until(last_event_time timestamp with time zone) TO sluice_writer;
REVOKE ALL ON FUNCTION ledger.until(last_event_time timestamp with time zone) FROM PUBLIC;
GRANT DELETE, SELECT, UPDATE ON TABLE ledger.untold TO sluice_writer;
GRANT SELECT ON TABLE ledger.untold TO sluice_reader;
GRANT EXECUTE ON FUNCTION ledger.verify(of_file bigint) TO sluice_reader;
GRANT EXECUTE ON FUNCTION ledger.verify(of_file bigint) TO sluice_writer;
REVOKE ALL ON FUNCTION ledger.verify(of_file bigint) FROM PUBLIC;
GRANT DELETE, INSERT, SELECT ON TABLE public.events TO sluice_writer;
GRANT SELECT ON TABLE public.events TO sluice_reader;
GRANT SELECT ON TABLE public.events_before_2000_01 TO sluice_reader;
GRANT SELECT ON TABLE public.events_before_2000_01 TO sluice_writer;
GRANT SELECT ON TABLE public.events_from_2100_01 TO sluice_reader;
GRANT SELECT ON TABLE public.events_from_2100_01 TO sluice_writer;
GRANT SELECT ON TABLE public.sluice_migrations TO sluice_reader;
GRANT SELECT ON TABLE public.sluice_migrations TO sluice_writer;
GRANT USAGE ON SCHEMA report TO sluice_reader;
GRANT USAGE ON SCHEMA report TO sluice_writer;
GRANT DELETE, INSERT, UPDATE ON TABLE report.feeds TO sluice_reader;
GRANT DELETE, INSERT, UPDATE ON TABLE report.feeds TO sluice_writer;
GRANT SELECT ON TABLE report.feeds TO PUBLIC;
GRANT DELETE, INSERT, SELECT ON TABLE report.last_refresh TO sluice_reader;
GRANT DELETE, INSERT, SELECT ON TABLE report.last_refresh TO sluice_writer;
GRANT SELECT ON TABLE report.last_refresh TO PUBLIC;
GRANT USAGE ON SCHEMA report_cells TO sluice_reader;
GRANT USAGE ON SCHEMA report_cells TO sluice_writer;
GRANT DELETE, INSERT, SELECT ON TABLE report_cells.built TO sluice_reader;
GRANT DELETE, INSERT, SELECT ON TABLE report_cells.built TO sluice_writer;
GRANT DELETE, INSERT, SELECT ON TABLE report_cells.comparisons TO sluice_reader;
GRANT DELETE, INSERT, SELECT ON TABLE report_cells.comparisons TO sluice_writer;
