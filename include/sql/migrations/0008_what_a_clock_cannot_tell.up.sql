-- A clock that is set back must not make a dead stream's lease last: it holds between two moments.
ALTER TABLE ledger.streams ADD COLUMN lease_from timestamptz NOT NULL DEFAULT '-infinity';

-- An edit of a reject that is not in quarantine any more would be believed to have an effect.
CREATE FUNCTION ledger.refuse_edit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'reject % of file % is %: its fields are edited only while it is quarantined',
        OLD.record_number, OLD.file_id, OLD.state
        USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = CASE OLD.state
                WHEN 'withdrawn' THEN 'Its file was taken back: correct the file and land it again.'
                ELSE 'Its row is in events: unload the file, correct it and land it again.'
            END;
END
$$;
CREATE TRIGGER an_edit_comes_in_time
BEFORE UPDATE OF fields ON ledger.rejects
FOR EACH ROW
WHEN (OLD.state <> 'quarantined' AND OLD.fields IS DISTINCT FROM NEW.fields)
EXECUTE FUNCTION ledger.refuse_edit();
