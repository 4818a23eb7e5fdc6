-- Files that an old version of a contract has judged: they are taken back, all of them, and land again.

-- name: judged :: loaded files of the contract that another version than %(current)s judged (%(version)s; NULL: any), oldest first
-- With the paths of the files of the same bytes, whose own are not deleted.
SELECT
    file_id,
    name,
    path,
    sha256,
    bytes,
    contract_version,
    rows_read,
    sealed_at IS NOT NULL AS is_sealed,
    ARRAY(
        SELECT duplicate.path
        FROM ledger.files AS duplicate
        WHERE duplicate.sha256 = files.sha256 AND duplicate.state = 'duplicate' AND duplicate.sealed_at IS NULL
        ORDER BY duplicate.file_id
    ) AS duplicates
FROM ledger.files
WHERE state = 'loaded'
    AND contract = %(contract)s
    AND contract_version <> %(current)s
    AND (%(version)s::text IS NULL OR contract_version = %(version)s::text)
ORDER BY file_id;

-- name: to_land :: files of the contract that were taken back to land again, and their duplicates, and have not yet
-- landed_at is when their rows landed first.
WITH taken AS (
    SELECT audit.file_id, audit.at, audit.details, coalesce(files.rows_landed_at, files.landed_at) AS landed_at
    FROM ledger.audit
    JOIN ledger.files USING (file_id)
    WHERE audit.action = 'unload' AND audit.details @> '{"lands_again": true}' AND files.contract = %(contract)s
), ended AS (
    SELECT file_id, at, landed_at FROM taken
    UNION ALL
    SELECT duplicate::bigint, at, landed_at
    FROM taken
    CROSS JOIN jsonb_array_elements_text(details -> 'duplicates' -> 'followed') AS duplicate
)
SELECT files.file_id, files.name, files.path, files.sha256, ended.landed_at
FROM ended
JOIN ledger.files USING (file_id)
WHERE files.state = 'unloaded'
    AND files.sealed_at IS NULL
    AND NOT EXISTS (
        SELECT FROM ledger.files AS again
        WHERE again.name = files.name AND again.sha256 = files.sha256 AND again.moved_at > ended.at
    )
ORDER BY files.file_id;
