-- The partitions of events. A moment is given in microseconds since 1970 (NULL: without end), and as PostgreSQL reads it.

-- name: known :: a row a partition, in order: its name, from when and until before when it holds events
SELECT
    month,
    CASE WHEN isfinite(begins) THEN (extract(epoch FROM begins) * 1000000)::bigint END AS begins,
    CASE WHEN isfinite(ends) THEN (extract(epoch FROM ends) * 1000000)::bigint END AS ends,
    CASE WHEN isfinite(begins) THEN to_char(begins AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') ELSE '-infinity' END AS low,
    CASE WHEN isfinite(ends) THEN to_char(ends AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') ELSE 'infinity' END AS high
FROM ledger.months();

-- name: make :: a row: before which moment the partition ends that has the day $1, in days since 1970-01-01
-- It is made, of size $2, if there was none. No row when all that it would hold has expired, and $3 does not ask for it.
SELECT CASE WHEN isfinite(ends) THEN (extract(epoch FROM ends) * 1000000)::bigint END AS ends
FROM ledger.make_month(date '1970-01-01' + $1::integer, $2, $3);

-- name: is_unknown :: one row: whether PostgreSQL has to look at the whole table anew
-- It never did, or a week ago, or a fifth of its rows came or went since.
SELECT
    coalesce(
        whole.reltuples < 0
        OR abs(parts.rows - whole.reltuples) > 1000 + 0.2 * whole.reltuples
        OR last_analyze < clock_timestamp() - interval '7 days',
        true
    )
FROM pg_class AS whole
LEFT JOIN pg_stat_all_tables AS stats ON stats.relid = whole.oid
CROSS JOIN LATERAL (
    SELECT coalesce(sum(greatest(reltuples, 0)), 0) AS rows
    FROM pg_inherits
    JOIN pg_class ON pg_class.oid = inhrelid
    WHERE inhparent = whole.oid
) AS parts
WHERE whole.oid = 'public.events'::regclass;

-- name: analyze :: nothing; PostgreSQL knows the whole table. A month is not made meanwhile
SELECT FROM ledger.analyze_events();
