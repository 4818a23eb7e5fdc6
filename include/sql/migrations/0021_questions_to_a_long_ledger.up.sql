-- What is asked of the ledger costs the same, however many files are in it.

-- What changed since a moment; how many unloads and merges took rows out; what a revision replaced.
CREATE INDEX audit_by_time ON ledger.audit (at);
CREATE INDEX audit_of_withdrawals ON ledger.audit (audit_id) WHERE action IN ('unload', 'merge');
CREATE INDEX audit_by_revision ON ledger.audit (((details ->> 'replaced_by')::bigint)) WHERE action = 'replace';
