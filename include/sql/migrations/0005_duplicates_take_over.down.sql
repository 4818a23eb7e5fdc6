-- Lines of the audit stay: they say what was.
ALTER TABLE ledger.audit
    DROP CONSTRAINT an_action_is_known,
    ADD CONSTRAINT an_action_is_known CHECK (action IN ('unload', 'replace')) NOT VALID;
DROP TABLE ledger.insistences;
DROP INDEX ledger.duplicates_by_bytes;
ALTER TABLE ledger.files
    DROP COLUMN rejected_for,
    DROP COLUMN landed_again_at;
