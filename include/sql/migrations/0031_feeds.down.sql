DROP INDEX ledger.files_by_feed_not_loaded;
