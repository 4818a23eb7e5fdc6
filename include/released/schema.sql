-- The schema of release 0.1.0: `make check` says what has gone since, or has another type.

SET check_function_bodies = off;

-- Schemas

CREATE SCHEMA ledger;
CREATE SCHEMA report;

-- Tables

CREATE TABLE ledger.audit (
    audit_id bigint GENERATED ALWAYS AS IDENTITY NOT NULL,
    at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
    action text NOT NULL,
    file_id bigint NOT NULL,
    reason text NOT NULL,
    by_whom text NOT NULL,
    details jsonb NOT NULL,
    CONSTRAINT an_action_is_known CHECK ((action = ANY (ARRAY['unload'::text, 'replace'::text]))),
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
    CONSTRAINT batches_pkey PRIMARY KEY (epoch, batch)
);

CREATE TABLE ledger.duplicates (
    file_id bigint NOT NULL,
    record_number bigint NOT NULL,
    event_id uuid NOT NULL,
    CONSTRAINT duplicates_pkey PRIMARY KEY (file_id, record_number)
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
    CONSTRAINT a_file_is_in_a_known_state CHECK ((state = ANY (ARRAY['landed'::text, 'loaded'::text, 'rejected'::text, 'duplicate'::text, 'replaced'::text, 'unloaded'::text]))),
    CONSTRAINT a_loaded_file_has_its_tally CHECK (((state <> 'loaded'::text) OR ((rows_read IS NOT NULL) AND (rows_loaded IS NOT NULL) AND (rows_rejected IS NOT NULL) AND (rows_duplicate IS NOT NULL) AND (loaded_at IS NOT NULL) AND (contract IS NOT NULL)))),
    CONSTRAINT a_sha256_is_64_hex_digits CHECK ((sha256 ~ '^[0-9a-f]{64}$'::text)),
    CONSTRAINT files_pkey PRIMARY KEY (file_id),
    CONSTRAINT rows_are_conserved CHECK (((state <> 'loaded'::text) OR (rows_read = ((rows_loaded + rows_rejected) + rows_duplicate))))
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
    CONSTRAINT a_stream_is_in_a_known_state CHECK ((state = ANY (ARRAY['submitted'::text, 'running'::text, 'waiting'::text, 'ended'::text, 'fenced'::text]))),
    CONSTRAINT an_ended_stream_says_when CHECK (((state = ANY (ARRAY['ended'::text, 'fenced'::text])) = (ended_at IS NOT NULL))),
    CONSTRAINT streams_pkey PRIMARY KEY (epoch),
    CONSTRAINT streams_token_key UNIQUE (token)
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
    record_number bigint NOT NULL,
    CONSTRAINT events_pkey PRIMARY KEY (event_id)
);

CREATE TABLE public.sluice_migrations (
    name text NOT NULL,
    applied_at timestamp with time zone NOT NULL DEFAULT now(),
    CONSTRAINT sluice_migrations_pkey PRIMARY KEY (name)
);

-- References

ALTER TABLE ledger.audit ADD CONSTRAINT audit_file_id_fkey FOREIGN KEY (file_id) REFERENCES ledger.files(file_id);
ALTER TABLE ledger.batches ADD CONSTRAINT batches_epoch_fkey FOREIGN KEY (epoch) REFERENCES ledger.streams(epoch);
ALTER TABLE ledger.duplicates ADD CONSTRAINT duplicates_file_id_fkey FOREIGN KEY (file_id) REFERENCES ledger.files(file_id);
ALTER TABLE ledger.files ADD CONSTRAINT files_duplicate_of_fkey FOREIGN KEY (duplicate_of) REFERENCES ledger.files(file_id);
ALTER TABLE ledger.rejects ADD CONSTRAINT rejects_file_id_fkey FOREIGN KEY (file_id) REFERENCES ledger.files(file_id);

-- Indexes

CREATE UNIQUE INDEX a_claim_is_of_one_file ON ledger.files USING btree (claim) WHERE (claim IS NOT NULL);
CREATE INDEX audit_by_file ON ledger.audit USING btree (file_id);
CREATE INDEX batches_by_time ON ledger.batches USING btree (committed_at);
CREATE INDEX duplicates_by_event ON ledger.duplicates USING btree (event_id);
CREATE INDEX files_by_loaded_at ON ledger.files USING btree (loaded_at) WHERE (loaded_at IS NOT NULL);
CREATE INDEX files_by_name ON ledger.files USING btree (name);
CREATE INDEX files_claimed_and_waiting ON ledger.files USING btree (claim) WHERE ((state = 'landed'::text) AND (claim IS NOT NULL));
CREATE INDEX files_to_seal ON ledger.files USING btree (loaded_at, file_id) WHERE ((state = 'loaded'::text) AND (sealed_at IS NULL));
CREATE INDEX files_waiting ON ledger.files USING btree (file_id) WHERE (state = 'landed'::text);
CREATE UNIQUE INDEX one_stream_at_a_time ON ledger.streams USING btree ((true)) WHERE (ended_at IS NULL);
CREATE INDEX rejects_in_quarantine ON ledger.rejects USING btree (contract, file_id) WHERE (state = 'quarantined'::text);
CREATE UNIQUE INDEX the_same_bytes_load_once ON ledger.files USING btree (sha256) WHERE (state = ANY (ARRAY['landed'::text, 'loaded'::text]));
CREATE INDEX events_by_file ON public.events USING brin (file_id) WITH (pages_per_range='32', autosummarize='on');
CREATE INDEX events_by_time ON public.events USING brin (event_time) WITH (pages_per_range='32', autosummarize='on');

-- Functions

CREATE OR REPLACE FUNCTION ledger.note_edit()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
BEGIN
    NEW.edited_at := clock_timestamp();
    RETURN NEW;
END
$function$;

-- Triggers

CREATE TRIGGER an_edit_is_noted BEFORE UPDATE OF fields ON ledger.rejects FOR EACH ROW WHEN ((old.fields IS DISTINCT FROM new.fields)) EXECUTE FUNCTION ledger.note_edit();

-- Grants

GRANT EXECUTE ON FUNCTION ledger.note_edit() TO PUBLIC;
