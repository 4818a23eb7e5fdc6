-- Whose folders these are, and which files wait for a contract that cannot be used.

-- The ledger's own id: the folders of the pipeline carry it, so that an empty mount point, or the folder of another
-- pipeline, is not taken for one from which files are gone.
CREATE TABLE ledger.identity (
    only_one          boolean PRIMARY KEY DEFAULT true,
    ledger_id         uuid NOT NULL DEFAULT gen_random_uuid(),
    folders_marked_at timestamptz,
    CONSTRAINT a_ledger_has_one_identity CHECK (only_one)
);
INSERT INTO ledger.identity DEFAULT VALUES;

-- A landed file whose contract cannot be used now is dealt to nobody until the folder of contracts differs from what it
-- was judged under (waits_under, a digest of the folder).
ALTER TABLE ledger.files
    ADD COLUMN waits_for text,
    ADD COLUMN waits_under text,
    ADD CONSTRAINT what_a_file_waits_for_is_known CHECK (waits_for IN ('contract')),
    ADD CONSTRAINT a_file_that_waits_says_under_what CHECK ((waits_for IS NULL) = (waits_under IS NULL));
-- The stream looks for files several times a second: the cost must not follow how many wait for a contract.
DROP INDEX ledger.files_waiting, ledger.files_claimed_and_waiting;
CREATE INDEX files_waiting ON ledger.files (file_id) WHERE state = 'landed' AND waits_for IS NULL;
CREATE INDEX files_claimed_and_waiting ON ledger.files (claim)
    WHERE state = 'landed' AND waits_for IS NULL AND claim IS NOT NULL;
CREATE INDEX files_waiting_for_contract ON ledger.files (waits_under) WHERE waits_for IS NOT NULL;

-- One row a contract file that was ever seen: the last text that could be used, and what was wrong with the file when the
-- folder had the digest seen_under.
CREATE TABLE ledger.contracts (
    file       text PRIMARY KEY,
    usable     text,
    problem    text,
    seen_under text NOT NULL,
    seen_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);
