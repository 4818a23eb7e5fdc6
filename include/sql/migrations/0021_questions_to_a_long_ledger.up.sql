-- What is asked of the ledger costs the same, however many files are in it.

-- Counts and sums by state, without the wide rows of the files.
CREATE INDEX files_by_state ON ledger.files (state) INCLUDE (rows_read, rows_loaded, rows_rejected, rows_duplicate);

-- What changed since a moment; how many unloads there were; what a revision replaced.
CREATE INDEX audit_by_time ON ledger.audit (at);
CREATE INDEX audit_of_unloads ON ledger.audit (audit_id) WHERE action = 'unload';
CREATE INDEX audit_by_revision ON ledger.audit (((details ->> 'replaced_by')::bigint)) WHERE action = 'replace';
