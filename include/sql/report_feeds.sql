-- What each feed is to the reports (report.feeds), and what of it a refresh has to know.

-- name: loaded :: a row a feed of which a file is loaded
-- From one name to the next in the index files_by_feed, however many files there are.
WITH RECURSIVE feeds AS (
    (SELECT contract AS feed FROM ledger.files WHERE state = 'loaded' ORDER BY contract LIMIT 1)
    UNION ALL
    SELECT (
        SELECT contract
        FROM ledger.files
        WHERE state = 'loaded' AND contract > feeds.feed
        ORDER BY contract
        LIMIT 1
    )
    FROM feeds
    WHERE feeds.feed IS NOT NULL
)
SELECT feed FROM feeds WHERE feed IS NOT NULL;

-- name: known :: a row a feed, as the last refresh left it
SELECT feed, currency, counts_sales, is_generated, is_of_shop FROM report.feeds;

-- name: write :: a row a feed that was there with another currency, or whose sales counted otherwise
WITH given AS (
    SELECT *
    FROM unnest(
        %(feed)s::text[],
        %(currency)s::text[],
        %(counts_sales)s::boolean[],
        %(is_generated)s::boolean[],
        %(is_of_shop)s::boolean[]
    ) AS given (feed, currency, counts_sales, is_generated, is_of_shop)
), written AS (
    INSERT INTO report.feeds AS known (feed, currency, counts_sales, is_generated, is_of_shop)
    SELECT feed, currency, counts_sales, is_generated, is_of_shop FROM given
    ON CONFLICT (feed) DO UPDATE
    SET currency = excluded.currency,
        counts_sales = excluded.counts_sales,
        is_generated = excluded.is_generated,
        is_of_shop = excluded.is_of_shop
    WHERE (known.currency, known.counts_sales, known.is_generated, known.is_of_shop)
        IS DISTINCT FROM (excluded.currency, excluded.counts_sales, excluded.is_generated, excluded.is_of_shop)
)
SELECT feed
FROM given
JOIN report.feeds AS before USING (feed)
WHERE (before.currency, before.counts_sales) IS DISTINCT FROM (given.currency, given.counts_sales);

-- name: try_zone :: one row; raises when this server has no such time zone
SELECT timezone(%(zone)s, now()) AS moment;
