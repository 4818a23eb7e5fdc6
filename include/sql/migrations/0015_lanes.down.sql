DELETE FROM ledger.batches WHERE lane <> 'small';
ALTER TABLE ledger.batches
    DROP CONSTRAINT batches_pkey,
    DROP COLUMN lane,
    ADD CONSTRAINT batches_pkey PRIMARY KEY (epoch, batch);
DROP INDEX ledger.files_landed_by_name, ledger.files_unclaimed, ledger.files_claimed_and_waiting;
CREATE INDEX files_claimed_and_waiting ON ledger.files (claim)
    WHERE state = 'landed' AND waits_for IS NULL AND claim IS NOT NULL;
ALTER TABLE ledger.files DROP COLUMN lane;
