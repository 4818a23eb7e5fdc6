-- Drift, in the file's own transaction. Parameters are numbered, for a raw cursor.

-- name: last_said :: one row: the drift that was said last of this contract's feed; no row when it never had any
SELECT drift::text FROM ledger.feeds WHERE contract = $1;

-- name: earlier_fill :: a row a file: its fill, of the feed's last 20 loaded files without those that had empty columns
SELECT filled::text
FROM (
    SELECT filled, drift
    FROM ledger.files
    WHERE contract = $1 AND state = 'loaded' AND filled IS NOT NULL
    ORDER BY file_id DESC
    LIMIT 20
) AS earlier
WHERE NOT coalesce(drift ? 'empty', false);

-- name: say :: one row when this changes what is said of the feed; a file that landed before the newest one changes nothing
INSERT INTO ledger.feeds (contract, since_file, drift)
SELECT $1, $2::bigint, $3::text::jsonb
WHERE NOT EXISTS (
    SELECT FROM ledger.files
    WHERE contract = $1 AND state = 'loaded' AND filled IS NOT NULL AND file_id > $2::bigint
)
ON CONFLICT (contract) DO UPDATE
SET drift = excluded.drift, since = clock_timestamp(), since_file = excluded.since_file
WHERE feeds.drift IS DISTINCT FROM excluded.drift
RETURNING contract;
