DROP TABLE ledger.failed_refresh;
