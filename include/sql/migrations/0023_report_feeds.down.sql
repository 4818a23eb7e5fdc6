DROP INDEX ledger.files_by_feed;
DROP TABLE report.feeds;
