DROP TABLE ledger.duty_told;
DROP TABLE ledger.duty_changes;
DROP TABLE ledger.duty;
