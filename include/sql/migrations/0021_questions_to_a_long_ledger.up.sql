-- What is asked of the ledger costs the same, however many files are in it.

-- What changed since a moment; how many unloads there were; what a revision replaced.
CREATE INDEX audit_by_time ON ledger.audit (at);
CREATE INDEX audit_of_unloads ON ledger.audit (audit_id) WHERE action = 'unload';
CREATE INDEX audit_by_revision ON ledger.audit (((details ->> 'replaced_by')::bigint)) WHERE action = 'replace';
