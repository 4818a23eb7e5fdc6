-- The ledger stands beside the data it vouches for. Names here are a contract with tests, pages and users' SQL.
CREATE SCHEMA ledger;
CREATE SCHEMA report;

CREATE TABLE ledger.streams (
    epoch          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    token          uuid NOT NULL UNIQUE DEFAULT gen_random_uuid(),
    submitted_by   text NOT NULL,
    submitted_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_at     timestamptz,
    lease_until    timestamptz NOT NULL,
    stop_requested timestamptz,
    ended_at       timestamptz,
    ended_because  text,
    host           text,
    pid            integer,
    state          text NOT NULL DEFAULT 'submitted',
    state_since    timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_error     text,
    last_error_at  timestamptz,
    CONSTRAINT a_stream_is_in_a_known_state CHECK (
        -- submitted → running ⇄ waiting → ended; submitted, running, waiting → fenced
        state IN ('submitted', 'running', 'waiting', 'ended', 'fenced')
    ),
    CONSTRAINT an_ended_stream_says_when CHECK ((state IN ('ended', 'fenced')) = (ended_at IS NOT NULL))
);
-- Two streams at once are impossible, not merely unlikely.
CREATE UNIQUE INDEX one_stream_at_a_time ON ledger.streams ((true)) WHERE ended_at IS NULL;

CREATE TABLE ledger.files (
    file_id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name             text NOT NULL,
    path             text NOT NULL,
    sha256           text NOT NULL,
    bytes            bigint NOT NULL,
    contract         text,
    contract_version text,
    state            text NOT NULL DEFAULT 'landed',
    rows_read        bigint,
    rows_loaded      bigint,
    rows_rejected    bigint,
    rows_duplicate   bigint,
    rows_warned      bigint,
    landed_at        timestamptz NOT NULL,
    moved_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    loaded_at        timestamptz,
    claim            bigint,
    epoch            bigint,
    host             text,
    duplicate_of     bigint REFERENCES ledger.files (file_id),
    sealed_at        timestamptz,
    error            text,
    CONSTRAINT a_file_is_in_a_known_state CHECK (
        -- landed → loaded, rejected; loaded → replaced, unloaded; duplicate from the start
        state IN ('landed', 'loaded', 'rejected', 'duplicate', 'replaced', 'unloaded')
    ),
    CONSTRAINT a_sha256_is_64_hex_digits CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    CONSTRAINT rows_are_conserved CHECK (
        state <> 'loaded' OR rows_read = rows_loaded + rows_rejected + rows_duplicate
    ),
    CONSTRAINT a_loaded_file_has_its_tally CHECK (
        state <> 'loaded'
        OR (rows_read IS NOT NULL AND rows_loaded IS NOT NULL AND rows_rejected IS NOT NULL
            AND rows_duplicate IS NOT NULL AND loaded_at IS NOT NULL AND contract IS NOT NULL)
    )
);
CREATE UNIQUE INDEX the_same_bytes_load_once ON ledger.files (sha256) WHERE state IN ('landed', 'loaded');
CREATE UNIQUE INDEX a_claim_is_of_one_file ON ledger.files (claim) WHERE claim IS NOT NULL;
CREATE INDEX files_waiting ON ledger.files (file_id) WHERE state = 'landed';
CREATE INDEX files_claimed_and_waiting ON ledger.files (claim) WHERE state = 'landed' AND claim IS NOT NULL;
CREATE INDEX files_by_loaded_at ON ledger.files (loaded_at) WHERE loaded_at IS NOT NULL;
CREATE INDEX files_by_name ON ledger.files (name);

CREATE TABLE ledger.rejects (
    file_id          bigint NOT NULL REFERENCES ledger.files (file_id),
    record_number    bigint NOT NULL,
    line_number      bigint NOT NULL,
    raw              bytea NOT NULL,
    fields           jsonb,
    rules            text[] NOT NULL,
    error_class      text NOT NULL,
    contract         text NOT NULL,
    contract_version text NOT NULL,
    state            text NOT NULL DEFAULT 'quarantined',
    rejected_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    replayed_at      timestamptz,
    PRIMARY KEY (file_id, record_number),
    CONSTRAINT a_reject_is_of_a_known_class CHECK (error_class IN ('parse', 'type', 'rule', 'conflict')),
    CONSTRAINT a_reject_is_in_a_known_state CHECK (
        -- quarantined → replayed (now in events), duplicate (the replay found it there already), withdrawn (file unloaded)
        state IN ('quarantined', 'replayed', 'duplicate', 'withdrawn')
    ),
    CONSTRAINT a_reject_says_why CHECK (cardinality(rules) > 0)
);

-- A row that was in events already, one by one, so that an unload knows which file can give it back.
CREATE TABLE ledger.duplicates (
    file_id       bigint NOT NULL REFERENCES ledger.files (file_id),
    record_number bigint NOT NULL,
    event_id      uuid NOT NULL,
    PRIMARY KEY (file_id, record_number)
);
CREATE INDEX duplicates_by_event ON ledger.duplicates (event_id);

CREATE TABLE ledger.batches (
    epoch           bigint NOT NULL REFERENCES ledger.streams (epoch),
    batch           bigint NOT NULL,
    committed_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    files           bigint NOT NULL DEFAULT 0,
    rows_read       bigint NOT NULL DEFAULT 0,
    rows_loaded     bigint NOT NULL DEFAULT 0,
    rows_rejected   bigint NOT NULL DEFAULT 0,
    rows_duplicate  bigint NOT NULL DEFAULT 0,
    duration_ms     bigint,
    durations       jsonb,
    backlog_files   bigint,
    PRIMARY KEY (epoch, batch)
);
CREATE INDEX batches_by_time ON ledger.batches (committed_at);

CREATE TABLE public.events (
    event_id             uuid PRIMARY KEY,
    event_type           text NOT NULL,
    event_time           timestamptz NOT NULL,
    user_id              text,
    product_id           text,
    category             text,
    price                numeric(20, 4),
    session_id           text,
    ip_address           text,
    user_agent           text,
    search_query         text,
    search_results_count bigint,
    quantity             bigint,
    total_amount         numeric(20, 4),
    payment_method       text,
    extra                jsonb,
    file_id              bigint NOT NULL,
    record_number        bigint NOT NULL
);
-- Rows arrive file by file and roughly in time, so block ranges find them at almost no cost to the load.
CREATE INDEX events_by_time ON public.events USING brin (event_time) WITH (pages_per_range = 32, autosummarize = on);
CREATE INDEX events_by_file ON public.events USING brin (file_id) WITH (pages_per_range = 32, autosummarize = on);
