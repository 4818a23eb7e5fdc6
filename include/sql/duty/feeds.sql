-- The calendar of feeds: the newest files of each contract, by index, however many files there are. All read only.

-- name: newest :: at most %(most)s loaded files of each contract of %(contracts)s, and as many of those that ended otherwise
-- In the order of the indexes by feed: by an equal contract PostgreSQL may walk through all files for one that has few.
SELECT
    file_id, feed.contract, name, state, rejected_for, rows_read, rows_rejected, rows_duplicate,
    coalesce(rows_landed_at, landed_at) AS at
FROM unnest(%(contracts)s::text[]) AS feed (contract)
CROSS JOIN LATERAL (
    (
        SELECT *
        FROM ledger.files
        WHERE state = 'loaded' AND files.contract >= feed.contract AND files.contract <= feed.contract
        ORDER BY files.contract DESC, file_id DESC
        LIMIT %(most)s
    )
    UNION ALL
    (
        SELECT *
        FROM ledger.files
        WHERE state IN ('rejected', 'replaced', 'unloaded')
            AND files.contract >= feed.contract AND files.contract <= feed.contract
        ORDER BY files.contract DESC, file_id DESC
        LIMIT %(most)s
    )
) AS files;

-- name: without_rows :: the newest %(most)s files that are duplicates, or were rejected: the contract of a duplicate is its
-- original's; one that fitted no contract has none
SELECT
    newest.file_id, coalesce(newest.contract, original.contract) AS contract, newest.name, newest.state,
    newest.rejected_for, newest.landed_at AS at
FROM (
    SELECT file_id, contract, name, state, rejected_for, landed_at, duplicate_of
    FROM ledger.files
    WHERE state IN ('rejected', 'duplicate')
    ORDER BY file_id DESC
    LIMIT %(most)s
) AS newest
LEFT JOIN LATERAL (
    SELECT contract FROM ledger.files WHERE file_id = newest.duplicate_of OFFSET 0
) AS original ON true
WHERE newest.state = 'duplicate' OR newest.contract IS NULL;

-- name: waiting :: the newest %(most)s files that are registered and not judged yet: nobody knows whose they are
(
    SELECT file_id, NULL AS contract, name, state, NULL AS rejected_for, coalesce(rows_landed_at, landed_at) AS at
    FROM ledger.files
    WHERE state = 'landed' AND waits_for IS NULL
    ORDER BY file_id DESC
    LIMIT %(most)s
)
UNION ALL
(
    SELECT file_id, NULL, name, state, NULL, coalesce(rows_landed_at, landed_at)
    FROM ledger.files
    WHERE state = 'landed' AND waits_for IS NOT NULL
    LIMIT %(most)s
);

-- name: hours :: a row an hour and contract in which a file of it was registered: how many hours before %(until)s it began
-- Of each hour the first file of all, by the index of landing; between that one's number and the next hour's the index by
-- feed is asked for one file of the contract.
WITH hours AS (
    SELECT ago, lead(first.file_id) OVER (ORDER BY ago DESC) AS ends, first.file_id AS begins
    FROM generate_series(0, %(hours)s) AS ago
    CROSS JOIN LATERAL (
        SELECT file_id
        FROM ledger.files
        WHERE landed_at >= %(until)s::timestamptz - make_interval(hours => ago)
        ORDER BY landed_at, file_id
        LIMIT 1
    ) AS first
)
SELECT feed.contract, ago
FROM unnest(%(contracts)s::text[]) AS feed (contract)
CROSS JOIN hours
CROSS JOIN LATERAL (
    SELECT
    FROM ledger.files
    WHERE state = 'loaded'
        AND files.contract >= feed.contract AND files.contract <= feed.contract
        AND file_id >= begins AND (file_id < ends OR ends IS NULL)
    ORDER BY files.contract, file_id
    LIMIT 1
) AS found
WHERE begins < ends OR ends IS NULL;

-- name: looking :: one row: since when a stream loads again after there was none for %(pause)s seconds, as far as the
-- newest %(most)s streams tell; NULL when that never happened
SELECT max(started_at) AS since
FROM (
    SELECT started_at, lag(coalesce(ended_at, lease_until)) OVER (ORDER BY epoch) AS last_ended_at
    FROM (
        SELECT epoch, started_at, ended_at, lease_until
        FROM ledger.streams
        WHERE started_at <= %(now)s
        ORDER BY epoch DESC
        LIMIT %(most)s
    ) AS newest
) AS lives
WHERE started_at > last_ended_at + make_interval(secs => %(pause)s);
