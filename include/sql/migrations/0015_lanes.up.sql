-- Files of unlike size do not wait for one another: each has a lane, set when it is registered, and the stream runs a query
-- a lane. Claims stay one space of numbers.
ALTER TABLE ledger.files
    ADD COLUMN lane text NOT NULL DEFAULT 'small',
    ADD CONSTRAINT a_lane_is_known CHECK (lane IN ('small', 'big'));
DROP INDEX ledger.files_claimed_and_waiting;
CREATE INDEX files_claimed_and_waiting ON ledger.files (lane, claim)
    WHERE state = 'landed' AND waits_for IS NULL AND claim IS NOT NULL;
CREATE INDEX files_unclaimed ON ledger.files (lane, file_id)
    WHERE state = 'landed' AND waits_for IS NULL AND claim IS NULL;
CREATE INDEX files_landed_by_name ON ledger.files (name) WHERE state = 'landed';

-- Each query counts its micro-batches by itself. A stream of the release before, which knows the other key, ends at its next
-- micro-batch, after its files were committed; the next stream takes over.
ALTER TABLE ledger.batches
    ADD COLUMN lane text NOT NULL DEFAULT 'small',
    DROP CONSTRAINT batches_pkey,
    ADD CONSTRAINT batches_pkey PRIMARY KEY (epoch, lane, batch);
