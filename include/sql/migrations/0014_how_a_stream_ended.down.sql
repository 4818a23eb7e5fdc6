ALTER TABLE ledger.streams DROP COLUMN ended_how;
