-- How large the databases are. Read only.

-- name: databases :: a row a database of the pipeline's: its name, whether it is this one, its bytes (null: it is closed to us)
SELECT
    oid::bigint AS oid,
    datname AS name,
    datname = current_database() AS is_ours,
    CASE WHEN has_database_privilege(oid, 'CONNECT') THEN pg_database_size(oid) END AS bytes
FROM pg_database
WHERE datname = current_database()
    OR datname IN ('sluice_replaced', 'sluice_restoring', 'sluice_drill', 'airflow')
ORDER BY datname;
