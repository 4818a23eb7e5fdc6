-- What a monitor is told at each scrape. Each answers quickly, however many files the ledger has.

-- name: counts :: a row a count: contract, what, label, amount
SELECT contract, what, label, sum(amount) AS amount
FROM ledger.counts
GROUP BY contract, what, label
ORDER BY contract, what, label;

-- name: batches :: a row a lane: the newest micro-batch whose durations are known, of the newest %(most)s
SELECT DISTINCT ON (lane) lane, committed_at, files, duration_ms, durations
FROM (
    SELECT lane, committed_at, files, duration_ms, durations
    FROM ledger.batches
    ORDER BY committed_at DESC
    LIMIT %(most)s
) AS newest
WHERE duration_ms IS NOT NULL
ORDER BY lane, committed_at DESC;

-- name: conditions :: a row a condition: what it is of, and its state; no more than %(most)s
SELECT kind, name, state
FROM ledger.duty
ORDER BY kind, name
LIMIT %(most)s;
