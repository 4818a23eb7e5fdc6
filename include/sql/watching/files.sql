-- Room Files: the newest files that fit, a page at a time, however many there are.
--
-- Candidates are what one index finds at once, in the order of the page, at most %(look)s. What else is asked for is held
-- against them: so a page is answered in bounded time also where hardly a file fits, and says then how far it has looked.
-- {beyond} and {way} are < and DESC, or > and ASC for the page before.

-- name: by_number :: candidates: all files
SELECT *
FROM ledger.files
WHERE file_id {beyond} %(from)s
ORDER BY file_id {way}
LIMIT %(look)s;

-- name: by_state :: candidates: files that did not load, or did and were taken back; with state landed, those that wait for a contract
-- The index's own condition, and its order, which an equal sign would take out of it: then PostgreSQL reads all files since
-- the newest of that state, where it thinks that there are many.
SELECT *
FROM ledger.files
WHERE (state IN ('rejected', 'duplicate', 'replaced', 'unloaded') OR waits_for IS NOT NULL)
    AND state >= %(state)s
    AND state <= %(state)s
    AND (state, file_id) {beyond} (%(state)s, %(from)s)
ORDER BY state {way}, file_id {way}
LIMIT %(look)s;

-- name: by_waiting :: candidates: files that wait to be loaded
SELECT *
FROM ledger.files
WHERE state = 'landed' AND waits_for IS NULL AND file_id {beyond} %(from)s
ORDER BY file_id {way}
LIMIT %(look)s;

-- name: by_contract :: candidates: loaded files of a contract
-- In the order of the index by feed, as above.
SELECT *
FROM ledger.files
WHERE state = 'loaded'
    AND contract >= %(contract)s
    AND contract <= %(contract)s
    AND (contract, file_id) {beyond} (%(contract)s, %(from)s)
ORDER BY contract {way}, file_id {way}
LIMIT %(look)s;

-- name: by_landing :: candidates: files that landed in a range of time, in that order
SELECT *
FROM ledger.files
WHERE landed_at >= coalesce(%(since)s::timestamptz, '-infinity')
    AND landed_at < coalesce(%(until)s::timestamptz, 'infinity')
    AND (landed_at, file_id) {beyond} (%(from_landing)s::timestamptz, %(from)s)
ORDER BY landed_at {way}, file_id {way}
LIMIT %(look)s;

-- name: by_name :: candidates: files whose name begins so; only where not more than %(names)s do
SELECT *
FROM (
    SELECT *
    FROM ledger.files
    WHERE name ~>=~ %(low)s AND name ~<~ %(high)s
    -- The order of the index by name, which is taken so whatever PostgreSQL thinks of the number of matches.
    ORDER BY name USING ~<~
    LIMIT %(names)s
) AS named
WHERE file_id {beyond} %(from)s
ORDER BY file_id {way}
LIMIT %(look)s;

-- name: fits :: a condition on a candidate, no statement
(%(state)s::text IS NULL OR state = %(state)s)
AND (%(waits)s::boolean IS NULL OR (waits_for IS NOT NULL) = %(waits)s)
AND (%(contract)s::text IS NULL OR contract = %(contract)s)
AND (%(since)s::timestamptz IS NULL OR landed_at >= %(since)s)
AND (%(until)s::timestamptz IS NULL OR landed_at < %(until)s)
AND (%(low)s::text IS NULL OR name ~>=~ %(low)s AND name ~<~ %(high)s);

-- name: page :: a row a file
SELECT
    file_id,
    name,
    state,
    waits_for IS NOT NULL AS waits_for_contract,
    contract,
    bytes,
    rows_read,
    rows_loaded,
    rows_rejected,
    rows_duplicate,
    landed_at,
    loaded_at,
    CASE
        WHEN loaded_at IS NOT NULL
            THEN greatest(extract(epoch FROM loaded_at - coalesce(landed_again_at, landed_at)), 0)::float8
    END AS lag_seconds,
    drift IS NOT NULL AS has_drifted,
    duplicate_of
FROM ({candidates}) AS candidate
WHERE {fits}
ORDER BY {order}
LIMIT %(most)s;

-- name: looked_to :: one row when there may be more candidates: the last one that was looked at
SELECT file_id
FROM ({candidates}) AS candidate
ORDER BY {order}
OFFSET %(look)s - 1
LIMIT 1;

-- name: count :: one row: how many of the newest candidates fit, and how many candidates there are, at most %(look)s
SELECT count(*) FILTER (WHERE {fits}) AS files, count(*) AS looked_at
FROM ({candidates}) AS candidate;

-- name: named :: one row: how many files have a name that begins so; one more than %(names)s stands for more
SELECT count(*) AS files
FROM (
    SELECT FROM ledger.files WHERE name ~>=~ %(low)s AND name ~<~ %(high)s ORDER BY name USING ~<~ LIMIT %(names)s + 1
) AS named;

-- name: landing :: when the file landed
SELECT landed_at FROM ledger.files WHERE file_id = %(file_id)s;
