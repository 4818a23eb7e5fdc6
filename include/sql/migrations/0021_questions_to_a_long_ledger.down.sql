DROP INDEX ledger.audit_by_time, ledger.audit_of_withdrawals, ledger.audit_by_revision;
