-- name: current :: a row for each setting: as one writes it, as a number in bytes or seconds, what else it may be
SELECT
    name,
    current_setting(name) AS shown,
    setting AS text,
    enumvals AS known,
    CASE
        WHEN vartype IN ('integer', 'real')
            THEN setting::numeric * CASE unit
                WHEN '8kB' THEN 8192 WHEN 'kB' THEN 1024 WHEN 'MB' THEN 1048576
                WHEN 'min' THEN 60 WHEN 'ms' THEN 0.001
                ELSE 1
            END
    END AS number
FROM pg_settings
WHERE name = ANY(%(names)s);

-- name: place :: one row: is the server here; bytes of the largest month's indexes; how many months and indexes
SELECT
    coalesce(inet_server_addr() = inet_client_addr(), true) AS is_here,
    coalesce(max(pg_indexes_size(relid)), 0)::bigint AS index_bytes,
    coalesce(sum(1 + (SELECT count(*) FROM pg_index WHERE indrelid = relid)), 0)::bigint AS relations
FROM pg_partition_tree(to_regclass('public.events'));
