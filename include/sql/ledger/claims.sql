-- The source's side of the ledger: claim numbers are the stream's offsets, of all lanes together; each lane's query looks at
-- its own files only. One claims at a time (take_turns), in one transaction, so a lower number can never
-- become visible after a higher one.

-- name: look :: one row while the stream lives: whether it is to stop, and whether a file may be there for the lane
SELECT
    stop_requested IS NOT NULL AS stop_requested,
    EXISTS (SELECT FROM ledger.files WHERE state = 'landed' AND waits_for IS NULL AND lane = %(lane)s)
        OR EXISTS (SELECT FROM ledger.files WHERE waits_for IS NOT NULL) AS has_work
FROM ledger.streams
WHERE epoch = %(epoch)s AND ended_at IS NULL;

-- name: take_turns :: nothing; until the transaction ends, no other lane claims
-- Not the stream's row: a claim may wait for a file that a dying task still holds, and the lease is renewed meanwhile.
SELECT pg_advisory_xact_lock(%(key)s);

-- name: hold_to_claim :: one row while the stream lives, held until the transaction ends
SELECT stop_requested IS NOT NULL AS stop_requested
FROM ledger.streams
WHERE epoch = %(epoch)s AND ended_at IS NULL
FOR KEY SHARE;

-- name: renumber_passed :: files that a checkpoint newer than the ledger would skip get numbers after it
WITH highest AS (
    SELECT greatest(%(start)s, coalesce(max(claim), 0)) AS claim
    FROM ledger.files
), passed AS (
    SELECT file_id, row_number() OVER (ORDER BY claim) AS place
    FROM ledger.files
    WHERE state = 'landed' AND waits_for IS NULL AND lane = %(lane)s AND claim <= %(start)s
)
UPDATE ledger.files
SET claim = highest.claim + passed.place, claimed_at = clock_timestamp()
FROM highest, passed
WHERE files.file_id = passed.file_id AND files.state = 'landed';

-- name: claim_landed :: numbers for up to :limit landed files, oldest first
WITH highest AS (
    SELECT greatest(%(start)s, coalesce(max(claim), 0)) AS claim
    FROM ledger.files
), unclaimed AS (
    SELECT file_id, row_number() OVER (ORDER BY file_id) AS place
    FROM (
        SELECT file_id
        FROM ledger.files
        WHERE state = 'landed' AND claim IS NULL AND waits_for IS NULL AND lane = %(lane)s
        ORDER BY file_id
        LIMIT %(limit)s
    ) AS oldest
)
UPDATE ledger.files
SET claim = highest.claim + unclaimed.place, claimed_at = clock_timestamp()
FROM highest, unclaimed
WHERE files.file_id = unclaimed.file_id AND files.state = 'landed';

-- name: last_claim_within :: the claim up to which the files after :start stay within the limits; one file at least
SELECT max(claim) AS claim
FROM (
    SELECT
        claim,
        row_number() OVER in_order AS place,
        sum(bytes) OVER in_order AS bytes_so_far
    FROM (
        SELECT claim, bytes
        FROM ledger.files
        WHERE state = 'landed' AND waits_for IS NULL AND lane = %(lane)s AND claim > %(start)s
        ORDER BY claim
        LIMIT %(limit)s
    ) AS next_files
    WINDOW in_order AS (ORDER BY claim)
) AS counted
WHERE place = 1 OR bytes_so_far <= %(bytes)s;

-- name: highest_claim :: the highest claim of any lane; 0 when nothing was ever claimed
-- What has landed and is not claimed is not counted: that would take longer, the more there is.
SELECT coalesce(max(claim), 0) AS claim
FROM ledger.files;

-- name: files_between :: the files of a micro-batch that are not finished yet
SELECT file_id, claim, bytes, name
FROM ledger.files
WHERE state = 'landed' AND waits_for IS NULL AND lane = %(lane)s AND claim > %(start)s AND claim <= %(end)s
ORDER BY claim;

-- name: note_batch :: what a micro-batch loaded, counted from its files' tallies; no row when the stream has ended
WITH held AS (
    SELECT epoch FROM ledger.streams WHERE epoch = %(epoch)s AND ended_at IS NULL FOR KEY SHARE
)
INSERT INTO ledger.batches (epoch, lane, batch, files, rows_read, rows_loaded, rows_rejected, rows_duplicate)
SELECT held.epoch, %(lane)s, %(batch)s, tally.*
FROM held
CROSS JOIN (
    SELECT
        count(*) FILTER (WHERE state <> 'landed'),
        coalesce(sum(rows_read), 0),
        coalesce(sum(rows_loaded), 0),
        coalesce(sum(rows_rejected), 0),
        coalesce(sum(rows_duplicate), 0)
    FROM ledger.files
    WHERE file_id = ANY(%(file_ids)s)
) AS tally
ON CONFLICT (epoch, lane, batch) DO UPDATE
SET files = excluded.files,
    rows_read = excluded.rows_read,
    rows_loaded = excluded.rows_loaded,
    rows_rejected = excluded.rows_rejected,
    rows_duplicate = excluded.rows_duplicate
RETURNING epoch;

-- name: note_durations :: nothing; what Spark measured of a batch
WITH held AS (
    SELECT epoch FROM ledger.streams WHERE epoch = %(epoch)s AND ended_at IS NULL FOR KEY SHARE
)
UPDATE ledger.batches
SET duration_ms = %(duration_ms)s,
    durations = %(durations)s::jsonb,
    backlog_files = (SELECT count(*) FROM ledger.files WHERE state = 'landed' AND waits_for IS NULL)
FROM held
WHERE batches.epoch = held.epoch AND lane = %(lane)s AND batch = %(batch)s AND duration_ms IS NULL;
