DROP INDEX ledger.audit_by_time, ledger.audit_of_unloads, ledger.audit_by_revision;
