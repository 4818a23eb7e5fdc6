-- The partitions of events. A moment is given in microseconds since 1970 (NULL: without end), and as PostgreSQL reads it.

-- name: known :: a row a partition, in order: its name, from when and until before when it holds events
SELECT
    month,
    CASE WHEN isfinite(begins) THEN (extract(epoch FROM begins) * 1000000)::bigint END AS begins,
    CASE WHEN isfinite(ends) THEN (extract(epoch FROM ends) * 1000000)::bigint END AS ends,
    CASE WHEN isfinite(begins) THEN to_char(begins AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') ELSE '-infinity' END AS low,
    CASE WHEN isfinite(ends) THEN to_char(ends AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') ELSE 'infinity' END AS high
FROM ledger.months();

-- name: make :: nothing of use; there is a partition for the day that lies $1 days after 1970-01-01, of size $2
-- None for a month that has expired while a load was at it: it begins again, and rejects the row.
SELECT (ledger.make_month(asked.of_day, $2)).month
FROM (SELECT date '1970-01-01' + $1::integer AS of_day) AS asked
WHERE asked.of_day AT TIME ZONE 'UTC' >= (SELECT ledger.expired_before());
