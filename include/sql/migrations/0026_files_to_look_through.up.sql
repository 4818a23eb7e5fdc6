-- The page looks through millions of files: by state, contract, name and time, the newest first, a page at a time.

-- What it costs. An index over all files gets six entries in the life of a file (it lands, is claimed, is loaded, gets its
-- receipt, is merged, is sealed), a few us and 80 bytes of WAL each. So one such index comes here (by landed_at), one goes
-- (by contract, of which there were two), and those by name and by feed change their form. The one of files that did not
-- load costs nothing for those that do.

-- As before for a name that is equal; now also for how a name begins, in any locale, and a name's newest files in order.
DROP INDEX ledger.files_by_name;
CREATE INDEX files_by_name ON ledger.files (name text_pattern_ops, file_id);

-- One for the feeds of the reports, for the newest files of a feed (drift), and for files by contract.
DROP INDEX ledger.files_by_feed, ledger.files_by_contract;
CREATE INDEX files_by_feed ON ledger.files (contract, file_id) WHERE state = 'loaded';

CREATE INDEX files_by_landing ON ledger.files (landed_at, file_id);

-- Few among many: without it, all files since the last one of such a state would be read.
CREATE INDEX files_not_loaded ON ledger.files (state, file_id)
    WHERE state IN ('rejected', 'duplicate', 'replaced', 'unloaded') OR waits_for IS NOT NULL;
