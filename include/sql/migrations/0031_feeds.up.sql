-- The calendar of feeds asks for the newest files of a contract, those too that are not loaded, or not any more. Few among
-- many, so it costs nothing for files that load.
CREATE INDEX files_by_feed_not_loaded ON ledger.files (contract, file_id)
    WHERE state IN ('rejected', 'replaced', 'unloaded');
