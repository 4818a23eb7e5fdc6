-- The schema of each contract's files, as it went.

-- name: contracts :: a row a contract of which a file is loaded: its newest file, and the drift that was said of it last
-- From one name to the next in the index by feed, however many files there are.
WITH RECURSIVE newest AS (
    (
        SELECT contract, file_id
        FROM ledger.files
        WHERE state = 'loaded'
        ORDER BY contract DESC, file_id DESC
        LIMIT 1
    )
    UNION ALL
    SELECT next.*
    FROM newest
    CROSS JOIN LATERAL (
        SELECT files.contract, files.file_id
        FROM ledger.files
        WHERE state = 'loaded' AND files.contract < newest.contract
        ORDER BY files.contract DESC, files.file_id DESC
        LIMIT 1
    ) AS next
)
SELECT
    contract, file_id, files.name, files.contract_version, files.loaded_at, said.drift, said.since AS drift_since
FROM (SELECT * FROM newest LIMIT 200) AS newest
JOIN ledger.files USING (contract, file_id)
LEFT JOIN ledger.feeds AS said USING (contract)
ORDER BY contract;

-- name: newest :: a row a file, of a contract's newest loaded files, the newest first
-- A file that took another's rows over has no filled: what it looks like was noted with that other. In the order of the
-- index by feed, as files.by_contract.
SELECT file_id, name, loaded_at, contract_version, header, drift, filled
FROM ledger.files
WHERE state = 'loaded' AND contract >= %(contract)s AND contract <= %(contract)s AND filled IS NOT NULL
ORDER BY contract DESC, file_id DESC
LIMIT %(most)s;
