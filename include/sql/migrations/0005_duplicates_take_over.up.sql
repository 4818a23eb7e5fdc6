-- How a file ends decides what becomes of the other files with its bytes, and an old revision does not come back unasked.

ALTER TABLE ledger.files
    -- What a file was rejected for: its content, its name (a revision that may not load), being an old revision that
    -- would undo a newer one, bytes that changed, or bytes that are gone. NULL: rejected before this was noted.
    ADD COLUMN rejected_for text,
    -- When a file that had slept, as a duplicate or set aside, was landed again. Lags count from there.
    ADD COLUMN landed_again_at timestamptz,
    ADD CONSTRAINT a_file_is_rejected_for_a_known_cause CHECK (
        rejected_for IN ('content', 'name', 'undoes', 'changed', 'gone')
    );
CREATE INDEX duplicates_by_bytes ON ledger.files (sha256) WHERE state = 'duplicate';

-- Who wants an old revision to be loaded all the same: noted before it lands, bound to the first file that fits.
CREATE TABLE ledger.insistences (
    insistence_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at            timestamptz NOT NULL DEFAULT clock_timestamp(),
    name          text NOT NULL,
    sha256        text NOT NULL,
    reason        text NOT NULL,
    by_whom       text NOT NULL,
    file_id       bigint UNIQUE REFERENCES ledger.files (file_id),
    CONSTRAINT a_sha256_is_64_hex_digits CHECK (sha256 ~ '^[0-9a-f]{64}$')
);
CREATE UNIQUE INDEX a_wish_waits_once ON ledger.insistences (sha256, name) WHERE file_id IS NULL;

-- Beside the actions that are known already.
DO $$
DECLARE
    known text;
BEGIN
    SELECT pg_get_expr(conbin, conrelid) INTO STRICT known
    FROM pg_constraint
    WHERE conrelid = 'ledger.audit'::regclass AND conname = 'an_action_is_known';
    ALTER TABLE ledger.audit DROP CONSTRAINT an_action_is_known;
    EXECUTE format(
        'ALTER TABLE ledger.audit ADD CONSTRAINT an_action_is_known CHECK (action IN (''takeover'', ''insist'') OR %s)',
        known
    );
END
$$;

-- Until now a duplicate kept pointing to a file that had ended, and nobody had its rows. What the rule says now is done
-- for those that are left: the same name is replaced with its original, of the others the oldest takes over.
UPDATE ledger.files AS duplicate
SET state = 'replaced', contract = original.contract, contract_version = original.contract_version
FROM ledger.files AS original
WHERE duplicate.state = 'duplicate'
    AND original.file_id = duplicate.duplicate_of
    AND original.state = 'replaced'
    AND original.name = duplicate.name;

UPDATE ledger.files
SET state = 'landed', landed_again_at = clock_timestamp()
WHERE file_id IN (
    SELECT DISTINCT ON (sha256) file_id
    FROM ledger.files AS duplicate
    WHERE state = 'duplicate'
        AND sealed_at IS NULL
        AND NOT EXISTS (
            SELECT FROM ledger.files AS living
            WHERE living.sha256 = duplicate.sha256 AND living.state IN ('landed', 'loaded')
        )
    ORDER BY sha256, file_id
);

INSERT INTO ledger.audit (action, file_id, reason, by_whom, details)
SELECT
    'takeover',
    heir.file_id,
    'file ' || original.file_id || ', which had the same bytes, was ' || original.state || ' before duplicates took over',
    'migration 0005',
    jsonb_build_object('original', original.file_id, 'handed_over', false)
FROM ledger.files AS heir
JOIN ledger.files AS original ON original.file_id = heir.duplicate_of
WHERE heir.landed_again_at IS NOT NULL;

UPDATE ledger.files SET duplicate_of = NULL WHERE landed_again_at IS NOT NULL;

UPDATE ledger.files AS duplicate
SET duplicate_of = living.file_id
FROM ledger.files AS living
WHERE duplicate.state = 'duplicate'
    AND living.sha256 = duplicate.sha256
    AND living.state IN ('landed', 'loaded')
    AND living.file_id IS DISTINCT FROM duplicate.duplicate_of;
