DROP FUNCTION
    ledger.verify(bigint), ledger.digest(bigint), ledger.receipt_after(text, bit), ledger.receipt_of(bit),
    ledger.row_digest(public.events), ledger.receipt_columns();
ALTER TABLE ledger.files DROP COLUMN receipt, DROP COLUMN receipt_version, DROP COLUMN receipt_at;
-- Lines of the audit stay: they say what was, and no rule of before can hold for all of them.
ALTER TABLE ledger.audit DROP CONSTRAINT an_action_is_known;
ALTER TABLE ledger.audit
    ADD CONSTRAINT an_action_is_known CHECK (action IN ('unload', 'replace')) NOT VALID;
