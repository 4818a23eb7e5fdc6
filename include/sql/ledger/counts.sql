-- What has happened, for monitors: ledger.counts.

-- name: sum_up :: how many rows the sums are now; each count is one row afterwards
-- Two at once: what one has deleted the other does not find, and each puts back what it took.
WITH taken AS (
    DELETE FROM ledger.counts
    RETURNING contract, what, label, amount
)
INSERT INTO ledger.counts (contract, what, label, amount)
SELECT contract, what, label, sum(amount)
FROM taken
GROUP BY contract, what, label;
