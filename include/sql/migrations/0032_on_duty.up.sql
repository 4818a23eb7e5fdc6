-- What is as it should be and what is not, since when, and who was told of it.

CREATE TABLE ledger.duty (
    kind    text NOT NULL,
    name    text NOT NULL,
    state   text NOT NULL,
    since   timestamptz NOT NULL,
    seen_at timestamptz NOT NULL,
    numbers jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (kind, name)
);
COMMENT ON TABLE ledger.duty IS 'The present state of each thing that somebody on duty looks after; docs/on-duty.md has kinds and states';
COMMENT ON COLUMN ledger.duty.since IS 'From when on the state holds; where nothing tells, when it was seen first';
COMMENT ON COLUMN ledger.duty.seen_at IS 'When it was looked at last';
COMMENT ON COLUMN ledger.duty.numbers IS 'What it was judged by';

CREATE TABLE ledger.duty_changes (
    change_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind      text NOT NULL,
    name      text NOT NULL,
    was       text,
    state     text NOT NULL,
    at        timestamptz NOT NULL,
    numbers   jsonb NOT NULL DEFAULT '{}',
    told_at   timestamptz,
    CONSTRAINT a_change_is_to_another_state CHECK (was IS DISTINCT FROM state)
);
COMMENT ON TABLE ledger.duty_changes IS 'Each change of a state, in order; housekeeping keeps those of SLUICE_KEEP_BATCHES_DAYS';
COMMENT ON COLUMN ledger.duty_changes.was IS 'None: it was never looked at before';
COMMENT ON COLUMN ledger.duty_changes.state IS 'The state from then on; gone: it is not there any more, so nothing is looked at';
COMMENT ON COLUMN ledger.duty_changes.told_at IS 'When the last receiver had confirmed it; none: it waits, there is no receiver, or it did not hold and nobody is told';

CREATE INDEX duty_changes_by_subject ON ledger.duty_changes (kind, name, change_id);

CREATE TABLE ledger.duty_told (
    change_id bigint NOT NULL REFERENCES ledger.duty_changes ON DELETE CASCADE,
    receiver  integer NOT NULL,
    at        timestamptz NOT NULL,
    PRIMARY KEY (change_id, receiver)
);
COMMENT ON TABLE ledger.duty_told IS 'Which receivers have confirmed a change';
COMMENT ON COLUMN ledger.duty_told.receiver IS 'Its place in SLUICE_ALERT_URL, the first is 1';
