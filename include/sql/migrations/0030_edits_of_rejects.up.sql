-- The quarantine over time, the newest first; and an audit line for the edits of a file's rejects.

CREATE INDEX rejects_by_time ON ledger.rejects (rejected_at) WHERE state = 'quarantined';

-- Beside the actions that are known already.
DO $$
DECLARE
    known text;
BEGIN
    SELECT pg_get_expr(conbin, conrelid) INTO STRICT known
    FROM pg_constraint
    WHERE conrelid = 'ledger.audit'::regclass AND conname = 'an_action_is_known';
    ALTER TABLE ledger.audit DROP CONSTRAINT an_action_is_known;
    EXECUTE format('ALTER TABLE ledger.audit ADD CONSTRAINT an_action_is_known CHECK (action = ''edit'' OR %s)', known);
END
$$;
