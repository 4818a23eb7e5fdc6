-- The schema of each contract's files, as it went.

-- name: contracts :: a row a contract of which a file is loaded: its newest file, and the drift that was said of it last
-- From one name to the next in the index files_by_feed, however many files there are.
WITH RECURSIVE feeds AS (
    (SELECT contract FROM ledger.files WHERE state = 'loaded' ORDER BY contract LIMIT 1)
    UNION ALL
    SELECT (
        SELECT files.contract
        FROM ledger.files
        WHERE state = 'loaded' AND files.contract > feeds.contract
        ORDER BY files.contract
        LIMIT 1
    )
    FROM feeds
    WHERE feeds.contract IS NOT NULL
)
SELECT feeds.contract, newest.*, said.drift, said.since AS drift_since
FROM feeds
CROSS JOIN LATERAL (
    SELECT file_id, name, contract_version, loaded_at
    FROM ledger.files
    WHERE files.contract = feeds.contract AND state = 'loaded'
    ORDER BY file_id DESC
    LIMIT 1
) AS newest
LEFT JOIN ledger.feeds AS said ON said.contract = feeds.contract
ORDER BY feeds.contract
LIMIT 200;

-- name: newest :: a row a file, of a contract's newest loaded files, the newest first
-- A file that took another's rows over has no filled: what it looks like was noted with that other.
SELECT file_id, name, loaded_at, contract_version, header, drift, filled
FROM ledger.files
WHERE contract = %(contract)s AND state = 'loaded' AND filled IS NOT NULL
ORDER BY file_id DESC
LIMIT %(most)s;
