-- When a file was claimed, and when it was set aside: the page tells how long each step of a file's way took. Files of
-- before keep none. Columns without a default: nothing is rewritten, the lock is held for a moment.
ALTER TABLE ledger.files ADD COLUMN claimed_at timestamptz, ADD COLUMN rejected_at timestamptz;
