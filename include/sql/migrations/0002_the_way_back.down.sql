DROP TABLE ledger.audit;
DROP INDEX ledger.rejects_in_quarantine;
DROP TRIGGER an_edit_is_noted ON ledger.rejects;
DROP FUNCTION ledger.note_edit();
ALTER TABLE ledger.rejects DROP COLUMN edited_at;
ALTER TABLE ledger.files
    DROP COLUMN header,
    DROP COLUMN marked_encoding;
