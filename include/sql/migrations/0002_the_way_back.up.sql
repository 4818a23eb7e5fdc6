-- What the way back needs: how a file was read, what a person has edited, and who took what back.

-- A reject is read again from its raw bytes, by today's contract: that takes the header's names in the file's order
-- (jsonb keeps no order), and the encoding when a byte order mark said it (NULL: the contract says it).
ALTER TABLE ledger.files
    ADD COLUMN header jsonb,
    ADD COLUMN marked_encoding text;

-- A reject whose fields were edited is judged by its fields, every other by its raw bytes.
ALTER TABLE ledger.rejects ADD COLUMN edited_at timestamptz;

CREATE FUNCTION ledger.note_edit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.edited_at := clock_timestamp();
    RETURN NEW;
END
$$;
CREATE TRIGGER an_edit_is_noted
BEFORE UPDATE OF fields ON ledger.rejects
FOR EACH ROW
WHEN (OLD.fields IS DISTINCT FROM NEW.fields)
EXECUTE FUNCTION ledger.note_edit();

CREATE INDEX rejects_in_quarantine ON ledger.rejects (contract, file_id) WHERE state = 'quarantined';

CREATE TABLE ledger.audit (
    audit_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    action   text NOT NULL,
    file_id  bigint NOT NULL REFERENCES ledger.files (file_id),
    reason   text NOT NULL,
    by_whom  text NOT NULL,
    details  jsonb NOT NULL,
    CONSTRAINT an_action_is_known CHECK (action IN ('unload', 'replace'))
);
CREATE INDEX audit_by_file ON ledger.audit (file_id);
