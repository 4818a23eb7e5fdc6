-- An audit line for each file whose rows were copied from a database that a restore had replaced.
DO $$
DECLARE
    known text;
BEGIN
    SELECT pg_get_expr(conbin, conrelid) INTO STRICT known
    FROM pg_constraint
    WHERE conrelid = 'ledger.audit'::regclass AND conname = 'an_action_is_known';
    ALTER TABLE ledger.audit DROP CONSTRAINT an_action_is_known;
    EXECUTE format('ALTER TABLE ledger.audit ADD CONSTRAINT an_action_is_known CHECK (action = ''copy'' OR %s)', known);
END
$$;
