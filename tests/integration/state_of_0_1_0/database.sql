-- The database of a pipeline of release 0.1.0, made by that release's own code (commit f746160) with five small files: two
-- loaded, one unloaded, one rejected, one a duplicate, one that waits; its reports are published. The landed files are beside it.
-- pg_dump --inserts, without comments and psql's own commands.

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
CREATE SCHEMA ledger;
ALTER SCHEMA ledger OWNER TO sluice_owner;
CREATE SCHEMA report;
ALTER SCHEMA report OWNER TO sluice_owner;
CREATE FUNCTION ledger.note_edit() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    NEW.edited_at := clock_timestamp();
    RETURN NEW;
END
$$;
ALTER FUNCTION ledger.note_edit() OWNER TO sluice_owner;
SET default_tablespace = '';
SET default_table_access_method = heap;
CREATE TABLE ledger.audit (
    audit_id bigint NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    action text NOT NULL,
    file_id bigint NOT NULL,
    reason text NOT NULL,
    by_whom text NOT NULL,
    details jsonb NOT NULL,
    CONSTRAINT an_action_is_known CHECK ((action = ANY (ARRAY['unload'::text, 'replace'::text])))
);
ALTER TABLE ledger.audit OWNER TO sluice_owner;
ALTER TABLE ledger.audit ALTER COLUMN audit_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME ledger.audit_audit_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE ledger.batches (
    epoch bigint NOT NULL,
    batch bigint NOT NULL,
    committed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    files bigint DEFAULT 0 NOT NULL,
    rows_read bigint DEFAULT 0 NOT NULL,
    rows_loaded bigint DEFAULT 0 NOT NULL,
    rows_rejected bigint DEFAULT 0 NOT NULL,
    rows_duplicate bigint DEFAULT 0 NOT NULL,
    duration_ms bigint,
    durations jsonb,
    backlog_files bigint
);
ALTER TABLE ledger.batches OWNER TO sluice_owner;
CREATE TABLE ledger.duplicates (
    file_id bigint NOT NULL,
    record_number bigint NOT NULL,
    event_id uuid NOT NULL
);
ALTER TABLE ledger.duplicates OWNER TO sluice_owner;
CREATE TABLE ledger.files (
    file_id bigint NOT NULL,
    name text NOT NULL,
    path text NOT NULL,
    sha256 text NOT NULL,
    bytes bigint NOT NULL,
    contract text,
    contract_version text,
    state text DEFAULT 'landed'::text NOT NULL,
    rows_read bigint,
    rows_loaded bigint,
    rows_rejected bigint,
    rows_duplicate bigint,
    rows_warned bigint,
    landed_at timestamp with time zone NOT NULL,
    moved_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
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
    CONSTRAINT rows_are_conserved CHECK (((state <> 'loaded'::text) OR (rows_read = ((rows_loaded + rows_rejected) + rows_duplicate))))
);
ALTER TABLE ledger.files OWNER TO sluice_owner;
ALTER TABLE ledger.files ALTER COLUMN file_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME ledger.files_file_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
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
    state text DEFAULT 'quarantined'::text NOT NULL,
    rejected_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    replayed_at timestamp with time zone,
    edited_at timestamp with time zone,
    CONSTRAINT a_reject_is_in_a_known_state CHECK ((state = ANY (ARRAY['quarantined'::text, 'replayed'::text, 'duplicate'::text, 'withdrawn'::text]))),
    CONSTRAINT a_reject_is_of_a_known_class CHECK ((error_class = ANY (ARRAY['parse'::text, 'type'::text, 'rule'::text, 'conflict'::text]))),
    CONSTRAINT a_reject_says_why CHECK ((cardinality(rules) > 0))
);
ALTER TABLE ledger.rejects OWNER TO sluice_owner;
CREATE TABLE ledger.streams (
    epoch bigint NOT NULL,
    token uuid DEFAULT gen_random_uuid() NOT NULL,
    submitted_by text NOT NULL,
    submitted_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    started_at timestamp with time zone,
    lease_until timestamp with time zone NOT NULL,
    stop_requested timestamp with time zone,
    ended_at timestamp with time zone,
    ended_because text,
    host text,
    pid integer,
    state text DEFAULT 'submitted'::text NOT NULL,
    state_since timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    last_error text,
    last_error_at timestamp with time zone,
    CONSTRAINT a_stream_is_in_a_known_state CHECK ((state = ANY (ARRAY['submitted'::text, 'running'::text, 'waiting'::text, 'ended'::text, 'fenced'::text]))),
    CONSTRAINT an_ended_stream_says_when CHECK (((state = ANY (ARRAY['ended'::text, 'fenced'::text])) = (ended_at IS NOT NULL)))
);
ALTER TABLE ledger.streams OWNER TO sluice_owner;
ALTER TABLE ledger.streams ALTER COLUMN epoch ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME ledger.streams_epoch_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
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
);
ALTER TABLE public.events OWNER TO sluice_owner;
CREATE TABLE public.sluice_migrations (
    name text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);
ALTER TABLE public.sluice_migrations OWNER TO sluice_owner;
CREATE TABLE report.funnel (
    sessions bigint NOT NULL,
    viewed bigint NOT NULL,
    carted bigint NOT NULL,
    bought bigint NOT NULL,
    view_to_cart numeric,
    cart_to_buy numeric,
    view_to_buy numeric
);
ALTER TABLE report.funnel OWNER TO sluice_reader;
COMMENT ON TABLE report.funnel IS 'One row: sessions that viewed, carted, bought; and the share (0 to 1) of those of one step that also took the other';
CREATE TABLE report.last_refresh (
    built_by text NOT NULL,
    as_of timestamp with time zone NOT NULL,
    events bigint NOT NULL,
    events_of_sessions bigint NOT NULL,
    events_of_users bigint NOT NULL,
    events_of_products bigint NOT NULL,
    sales bigint NOT NULL,
    revenue numeric NOT NULL
);
ALTER TABLE report.last_refresh OWNER TO sluice_reader;
COMMENT ON TABLE report.last_refresh IS 'One row: the run that published, the moment its numbers are of, and their control totals';
CREATE TABLE report.products (
    product_id text NOT NULL,
    category text,
    lowest_price numeric,
    highest_price numeric,
    first_seen timestamp with time zone NOT NULL,
    last_seen timestamp with time zone NOT NULL,
    events bigint NOT NULL,
    views bigint NOT NULL,
    carts bigint NOT NULL,
    purchases bigint NOT NULL,
    units bigint NOT NULL,
    buyers bigint NOT NULL,
    revenue numeric NOT NULL
);
ALTER TABLE report.products OWNER TO sluice_reader;
COMMENT ON TABLE report.products IS 'One row a product that any event names; category is the last by name where events differ';
CREATE TABLE report.revenue_by_hour (
    hour timestamp with time zone NOT NULL,
    purchases bigint NOT NULL,
    cancellations bigint NOT NULL,
    units bigint NOT NULL,
    buyers bigint NOT NULL,
    revenue numeric NOT NULL
);
ALTER TABLE report.revenue_by_hour OWNER TO sluice_reader;
COMMENT ON TABLE report.revenue_by_hour IS 'One row an hour (UTC) in which something was bought or cancelled';
CREATE TABLE report.searches_without_result (
    search_query text NOT NULL,
    searches bigint NOT NULL,
    users bigint NOT NULL,
    last_searched_at timestamp with time zone NOT NULL
);
ALTER TABLE report.searches_without_result OWNER TO sluice_reader;
COMMENT ON TABLE report.searches_without_result IS 'What was looked for and not found, without regard to case and outer blanks';
CREATE TABLE report.sessions (
    session_id text NOT NULL,
    user_id text,
    started_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone NOT NULL,
    events bigint NOT NULL,
    views bigint NOT NULL,
    carts bigint NOT NULL,
    purchases bigint NOT NULL,
    revenue numeric NOT NULL
);
ALTER TABLE report.sessions OWNER TO sluice_reader;
COMMENT ON TABLE report.sessions IS 'One row a session; events without a session are in no row';
CREATE TABLE report.top_products (
    product_id text NOT NULL,
    category text,
    revenue numeric NOT NULL,
    units bigint NOT NULL,
    buyers bigint NOT NULL,
    rank_by_revenue bigint NOT NULL,
    rank_by_units bigint NOT NULL,
    rank_by_buyers bigint NOT NULL
);
ALTER TABLE report.top_products OWNER TO sluice_reader;
COMMENT ON TABLE report.top_products IS 'The products among the first hundred by revenue, by units or by buyers';
CREATE TABLE report.users (
    user_id text NOT NULL,
    first_seen timestamp with time zone NOT NULL,
    last_seen timestamp with time zone NOT NULL,
    sessions bigint NOT NULL,
    events bigint NOT NULL,
    views bigint NOT NULL,
    carts bigint NOT NULL,
    purchases bigint NOT NULL,
    revenue numeric NOT NULL
);
ALTER TABLE report.users OWNER TO sluice_reader;
COMMENT ON TABLE report.users IS 'One row a user';
INSERT INTO ledger.audit OVERRIDING SYSTEM VALUE VALUES (1, '2026-11-30 16:19:38.65683+00', 'unload', 3, 'landed by mistake', 'release 0.1.0', '{"name": "wrong.csv", "file_id": 3, "reports": "", "given_back": {}, "rows_removed": 1, "rows_taken_out": 1, "rows_given_back": 0, "rejects_withdrawn": 0, "duplicates_forgotten": 0}');
INSERT INTO ledger.duplicates VALUES (1, 4, '00000000-0000-4000-8000-000000000001');
INSERT INTO ledger.duplicates VALUES (2, 1, '00000000-0000-4000-8000-000000000002');
INSERT INTO ledger.files OVERRIDING SYSTEM VALUE VALUES (1, 'first.csv', 'archive/loaded/2026-11-30/1-4d0af8dc174f-first.csv', '4d0af8dc174fbba05b5c20b008ef2665c88f89a83caabdf74eec248c26bd1508', 588, 'events', '1.0.0', 'loaded', 4, 2, 1, 1, 0, '2026-11-30 16:19:35.694897+00', '2026-11-30 16:19:35.753558+00', '2026-11-30 16:19:37.2529+00', NULL, 1, 'vm', NULL, NULL, NULL, '["event_id", "event_type", "user_id", "product_id", "category", "price", "timestamp", "session_id", "ip_address", "user_agent", "search_query", "search_results_count", "quantity", "total_amount", "payment_method"]', NULL);
INSERT INTO ledger.files OVERRIDING SYSTEM VALUE VALUES (2, 'second.csv', 'archive/loaded/2026-11-30/2-e4433dc506f8-second.csv', 'e4433dc506f8901aec39b536d300af1199afcddb19634002bd291f89bdd0004d', 486, 'events', '1.0.0', 'loaded', 3, 1, 1, 1, 0, '2026-11-30 16:19:35.788511+00', '2026-11-30 16:19:35.860858+00', '2026-11-30 16:19:37.560441+00', NULL, 1, 'vm', NULL, NULL, NULL, '["event_id", "event_type", "user_id", "product_id", "category", "price", "timestamp", "session_id", "ip_address", "user_agent", "search_query", "search_results_count", "quantity", "total_amount", "payment_method"]', NULL);
INSERT INTO ledger.files OVERRIDING SYSTEM VALUE VALUES (4, 'no feed.csv', 'archive/rejected/2026-11-30/4-492d5ea49605-no-feed.csv', '492d5ea496056f1a6a6592241032fab764c321596317930b4fa0e1e8bc3b7470', 8, NULL, NULL, 'rejected', NULL, NULL, NULL, NULL, NULL, '2026-11-30 16:19:38.002356+00', '2026-11-30 16:19:38.134808+00', NULL, NULL, 1, 'vm', NULL, NULL, 'header [''a'', ''b''] fits no contract (held against events, online_retail, rees46): it has no column of any of them; correct the header, or add a contract for this feed under include/contracts', NULL, NULL);
INSERT INTO ledger.files OVERRIDING SYSTEM VALUE VALUES (6, 'first again.csv', 'archive/duplicate/2026-11-30/6-4d0af8dc174f-first-again.csv', '4d0af8dc174fbba05b5c20b008ef2665c88f89a83caabdf74eec248c26bd1508', 588, NULL, NULL, 'duplicate', NULL, NULL, NULL, NULL, NULL, '2026-11-30 16:19:38.377448+00', '2026-11-30 16:19:38.478471+00', NULL, NULL, NULL, NULL, 1, NULL, NULL, NULL, NULL);
INSERT INTO ledger.files OVERRIDING SYSTEM VALUE VALUES (3, 'wrong.csv', 'archive/loaded/2026-11-30/3-4fa67225a5e2-wrong.csv', '4fa67225a5e2700526e374b30f2807a85781f7620ed514f1aee1998520e1af1c', 274, 'events', '1.0.0', 'unloaded', 1, 0, 0, 0, 0, '2026-11-30 16:19:37.590154+00', '2026-11-30 16:19:37.670206+00', '2026-11-30 16:19:37.970492+00', NULL, 1, 'vm', NULL, NULL, NULL, '["event_id", "event_type", "user_id", "product_id", "category", "price", "timestamp", "session_id", "ip_address", "user_agent", "search_query", "search_results_count", "quantity", "total_amount", "payment_method"]', NULL);
INSERT INTO ledger.files OVERRIDING SYSTEM VALUE VALUES (7, 'waits.csv', 'processing/7-bc01e4f3103d-waits.csv', 'bc01e4f3103d373def7e799d136024dafb42024b98ba6df3654dfafbe802e213', 376, NULL, NULL, 'landed', NULL, NULL, NULL, NULL, NULL, '2026-11-30 16:19:38.932612+00', '2026-11-30 16:19:38.99524+00', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO ledger.rejects VALUES (1, 3, 4, '\x30303030303030302d303030302d343030302d383030302d3030303030303030303030332c6e6f6e73656e73652c75312c70312c73686f65732c392e39392c323032362d31312d32325431303a30303a30305a2c73312c31302e302e302e312c2c2c2c2c2c', '{"price": "9.99", "user_id": "u1", "category": "shoes", "event_id": "00000000-0000-4000-8000-000000000003", "quantity": null, "timestamp": "2026-11-22T10:00:00Z", "event_type": "nonsense", "ip_address": "10.0.0.1", "product_id": "p1", "session_id": "s1", "user_agent": null, "search_query": null, "total_amount": null, "payment_method": null, "search_results_count": null}', '{event_type.enum}', 'rule', 'events', '1.0.0', 'quarantined', '2026-11-30 16:19:37.247374+00', NULL, NULL);
INSERT INTO ledger.rejects VALUES (2, 3, 4, '\x30303030303030302d303030302d343030302d383030302d3030303030303030303030352c70726f647563745f766965772c75312c70312c73686f65732c6d616e792c323032362d31312d32325431303a30303a30305a2c73312c31302e302e302e312c2c2c2c2c2c', '{"price": "many", "user_id": "u1", "category": "shoes", "event_id": "00000000-0000-4000-8000-000000000005", "quantity": null, "timestamp": "2026-11-22T10:00:00Z", "event_type": "product_view", "ip_address": "10.0.0.1", "product_id": "p1", "session_id": "s1", "user_agent": null, "search_query": null, "total_amount": null, "payment_method": null, "search_results_count": null}', '{price.type}', 'type', 'events', '1.0.0', 'quarantined', '2026-11-30 16:19:37.544643+00', NULL, NULL);
INSERT INTO ledger.streams OVERRIDING SYSTEM VALUE VALUES (1, '81e8335c-35f9-4503-aa09-c22da8cc2a88', 'release 0.1.0', '2026-11-30 16:19:35.320594+00', '2026-11-30 16:19:35.367444+00', '2026-11-30 16:29:35.367444+00', NULL, '2026-11-30 16:19:38.686827+00', 'the stream was stopped', 'release', 1, 'ended', '2026-11-30 16:19:35.367445+00', NULL, NULL);
INSERT INTO public.events VALUES ('00000000-0000-4000-8000-000000000001', 'product_view', '2026-11-22 10:00:00+00', 'u1', 'p1', 'shoes', 9.9900, 's1', '10.0.0.1', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 1, 1);
INSERT INTO public.events VALUES ('00000000-0000-4000-8000-000000000002', 'product_view', '2026-11-22 10:00:00+00', 'u1', 'p1', 'shoes', 9.9900, 's1', '10.0.0.1', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 1, 2);
INSERT INTO public.events VALUES ('00000000-0000-4000-8000-000000000004', 'product_view', '2026-11-22 10:00:00+00', 'u1', 'p1', 'shoes', 9.9900, 's1', '10.0.0.1', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 2, 2);
INSERT INTO public.sluice_migrations VALUES ('0001_ledger_and_events', '2026-11-30 16:19:34.808384+00');
INSERT INTO public.sluice_migrations VALUES ('0002_the_way_back', '2026-11-30 16:19:35.077354+00');
INSERT INTO public.sluice_migrations VALUES ('0003_files_to_seal', '2026-11-30 16:19:35.145155+00');
INSERT INTO report.funnel VALUES (1, 1, 0, 0, 0.0000, NULL, 0.0000);
INSERT INTO report.last_refresh VALUES ('release', '2026-11-30 16:19:38.759455+00', 3, 3, 3, 3, 0, 0);
INSERT INTO report.products VALUES ('p1', 'shoes', 9.9900, 9.9900, '2026-11-22 10:00:00+00', '2026-11-22 10:00:00+00', 3, 3, 0, 0, 0, 0, 0);
INSERT INTO report.sessions VALUES ('s1', 'u1', '2026-11-22 10:00:00+00', '2026-11-22 10:00:00+00', 3, 3, 0, 0, 0);
INSERT INTO report.users VALUES ('u1', '2026-11-22 10:00:00+00', '2026-11-22 10:00:00+00', 1, 3, 3, 0, 0, 0);
SELECT pg_catalog.setval('ledger.audit_audit_id_seq', 1, true);
SELECT pg_catalog.setval('ledger.files_file_id_seq', 7, true);
SELECT pg_catalog.setval('ledger.streams_epoch_seq', 1, true);
ALTER TABLE ONLY ledger.audit
    ADD CONSTRAINT audit_pkey PRIMARY KEY (audit_id);
ALTER TABLE ONLY ledger.batches
    ADD CONSTRAINT batches_pkey PRIMARY KEY (epoch, batch);
ALTER TABLE ONLY ledger.duplicates
    ADD CONSTRAINT duplicates_pkey PRIMARY KEY (file_id, record_number);
ALTER TABLE ONLY ledger.files
    ADD CONSTRAINT files_pkey PRIMARY KEY (file_id);
ALTER TABLE ONLY ledger.rejects
    ADD CONSTRAINT rejects_pkey PRIMARY KEY (file_id, record_number);
ALTER TABLE ONLY ledger.streams
    ADD CONSTRAINT streams_pkey PRIMARY KEY (epoch);
ALTER TABLE ONLY ledger.streams
    ADD CONSTRAINT streams_token_key UNIQUE (token);
ALTER TABLE ONLY public.events
    ADD CONSTRAINT events_pkey PRIMARY KEY (event_id);
ALTER TABLE ONLY public.sluice_migrations
    ADD CONSTRAINT sluice_migrations_pkey PRIMARY KEY (name);
ALTER TABLE ONLY report.last_refresh
    ADD CONSTRAINT last_refresh_pkey PRIMARY KEY (built_by);
ALTER TABLE ONLY report.products
    ADD CONSTRAINT products_pkey PRIMARY KEY (product_id);
ALTER TABLE ONLY report.revenue_by_hour
    ADD CONSTRAINT revenue_by_hour_pkey PRIMARY KEY (hour);
ALTER TABLE ONLY report.searches_without_result
    ADD CONSTRAINT searches_without_result_pkey PRIMARY KEY (search_query);
ALTER TABLE ONLY report.sessions
    ADD CONSTRAINT sessions_pkey PRIMARY KEY (session_id);
ALTER TABLE ONLY report.top_products
    ADD CONSTRAINT top_products_pkey PRIMARY KEY (product_id);
ALTER TABLE ONLY report.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (user_id);
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
CREATE TRIGGER an_edit_is_noted BEFORE UPDATE OF fields ON ledger.rejects FOR EACH ROW WHEN ((old.fields IS DISTINCT FROM new.fields)) EXECUTE FUNCTION ledger.note_edit();
ALTER TABLE ONLY ledger.audit
    ADD CONSTRAINT audit_file_id_fkey FOREIGN KEY (file_id) REFERENCES ledger.files(file_id);
ALTER TABLE ONLY ledger.batches
    ADD CONSTRAINT batches_epoch_fkey FOREIGN KEY (epoch) REFERENCES ledger.streams(epoch);
ALTER TABLE ONLY ledger.duplicates
    ADD CONSTRAINT duplicates_file_id_fkey FOREIGN KEY (file_id) REFERENCES ledger.files(file_id);
ALTER TABLE ONLY ledger.files
    ADD CONSTRAINT files_duplicate_of_fkey FOREIGN KEY (duplicate_of) REFERENCES ledger.files(file_id);
ALTER TABLE ONLY ledger.rejects
    ADD CONSTRAINT rejects_file_id_fkey FOREIGN KEY (file_id) REFERENCES ledger.files(file_id);
GRANT USAGE ON SCHEMA ledger TO sluice_writer;
GRANT USAGE ON SCHEMA ledger TO sluice_reader;
GRANT USAGE ON SCHEMA public TO sluice_writer;
GRANT USAGE ON SCHEMA public TO sluice_reader;
GRANT USAGE ON SCHEMA report TO sluice_writer;
GRANT ALL ON SCHEMA report TO sluice_reader;
GRANT SELECT,INSERT ON TABLE ledger.audit TO sluice_writer;
GRANT SELECT ON TABLE ledger.audit TO sluice_reader;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE ledger.batches TO sluice_writer;
GRANT SELECT ON TABLE ledger.batches TO sluice_reader;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE ledger.duplicates TO sluice_writer;
GRANT SELECT ON TABLE ledger.duplicates TO sluice_reader;
GRANT SELECT,INSERT,UPDATE ON TABLE ledger.files TO sluice_writer;
GRANT SELECT ON TABLE ledger.files TO sluice_reader;
GRANT SELECT,INSERT,UPDATE ON TABLE ledger.rejects TO sluice_writer;
GRANT SELECT ON TABLE ledger.rejects TO sluice_reader;
GRANT SELECT,INSERT,UPDATE ON TABLE ledger.streams TO sluice_writer;
GRANT SELECT ON TABLE ledger.streams TO sluice_reader;
GRANT SELECT,INSERT,DELETE ON TABLE public.events TO sluice_writer;
GRANT SELECT ON TABLE public.events TO sluice_reader;
GRANT SELECT ON TABLE public.sluice_migrations TO sluice_writer;
GRANT SELECT ON TABLE public.sluice_migrations TO sluice_reader;
GRANT SELECT ON TABLE report.funnel TO PUBLIC;
GRANT INSERT,DELETE ON TABLE report.funnel TO sluice_writer;
GRANT SELECT ON TABLE report.last_refresh TO PUBLIC;
GRANT INSERT,DELETE ON TABLE report.last_refresh TO sluice_writer;
GRANT SELECT ON TABLE report.products TO PUBLIC;
GRANT INSERT,DELETE ON TABLE report.products TO sluice_writer;
GRANT SELECT ON TABLE report.revenue_by_hour TO PUBLIC;
GRANT INSERT,DELETE ON TABLE report.revenue_by_hour TO sluice_writer;
GRANT SELECT ON TABLE report.searches_without_result TO PUBLIC;
GRANT INSERT,DELETE ON TABLE report.searches_without_result TO sluice_writer;
GRANT SELECT ON TABLE report.sessions TO PUBLIC;
GRANT INSERT,DELETE ON TABLE report.sessions TO sluice_writer;
GRANT SELECT ON TABLE report.top_products TO PUBLIC;
GRANT INSERT,DELETE ON TABLE report.top_products TO sluice_writer;
GRANT SELECT ON TABLE report.users TO PUBLIC;
GRANT INSERT,DELETE ON TABLE report.users TO sluice_writer;
