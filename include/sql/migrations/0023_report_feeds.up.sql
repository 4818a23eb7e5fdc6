-- What a feed is to the reports. Each refresh writes it, from the contracts and the settings, before it counts.
CREATE TABLE report.feeds (
    feed         text PRIMARY KEY,
    currency     text NOT NULL DEFAULT '',
    counts_sales boolean NOT NULL DEFAULT true,
    is_generated boolean NOT NULL DEFAULT false,
    is_of_shop   boolean NOT NULL DEFAULT true
);
COMMENT ON TABLE report.feeds IS 'One row a feed, by the name of its contract';
COMMENT ON COLUMN report.feeds.currency IS
    'ISO 4217 code of its amounts, by its contract''s reportCurrency; empty when the contract does not say it';
COMMENT ON COLUMN report.feeds.counts_sales IS
    'Whether its purchases and cancellations are sales, by its contract''s sales';
COMMENT ON COLUMN report.feeds.is_generated IS 'Whether it is the one that the generator writes';
COMMENT ON COLUMN report.feeds.is_of_shop IS 'Whether the shop''s own totals have it: by SLUICE_SHOP_FEEDS, or else all but the generator''s';

-- Which feeds have a loaded file, among however many files.
CREATE INDEX files_by_feed ON ledger.files (contract) WHERE state = 'loaded';
