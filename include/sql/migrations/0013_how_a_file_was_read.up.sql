-- How a file was read: its dialect, and how long a record may be. The recount reads it in the same way, whatever the
-- contract and the settings say today. Files that were loaded before have none: today's are used for them.
ALTER TABLE ledger.files ADD COLUMN read_as jsonb;
