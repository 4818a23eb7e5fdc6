-- What the launcher does as superuser of the embedded server, before the owner migrates.

-- name: role_statement :: one row, one text: the statement that makes the login role, or renews its password
SELECT format(
    CASE
        WHEN EXISTS (SELECT FROM pg_roles WHERE rolname = %(role)s) THEN 'ALTER ROLE %%I LOGIN PASSWORD %%L'
        ELSE 'CREATE ROLE %%I LOGIN PASSWORD %%L'
    END,
    %(role)s::text,
    %(password)s::text
) AS statement;

-- name: database_statement :: one row, one text: the statement that makes the database; no row when it is there
-- Whatever the server was made with: texts of all languages, ordered by code point.
SELECT format(
    'CREATE DATABASE %%I OWNER %%I TEMPLATE template0 ENCODING ''UTF8'' LC_COLLATE ''C'' LC_CTYPE ''C''',
    %(database)s::text,
    %(owner)s::text
) AS statement
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = %(database)s);

-- name: closing_statement :: one row, one text: only the owner, and roles that are granted it, may connect
SELECT format('REVOKE ALL ON DATABASE %%I FROM PUBLIC', %(database)s::text) AS statement;

-- name: close_schema_public :: in a new database of PostgreSQL 14: what later versions ship
ALTER SCHEMA public OWNER TO pg_database_owner;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;

-- name: locks_statement :: one text: statements after which only who works takes the locks that loads wait for, or null
-- Advisory locks are names that everybody may lock, and PostgreSQL has no limit to how long.
SELECT string_agg(
    format('REVOKE EXECUTE ON FUNCTION %%1$s FROM PUBLIC; GRANT EXECUTE ON FUNCTION %%1$s TO sluice_owner, sluice_writer', function),
    '; '
) AS statement
FROM (
    SELECT oid::regprocedure AS function
    FROM pg_proc
    WHERE pronamespace = 'pg_catalog'::regnamespace
        AND proname ~ '^pg_(try_)?advisory_(xact_)?lock'
        AND has_function_privilege('public', oid, 'EXECUTE')
) AS open_to_all;

-- name: dag_is_paused :: in Airflow's database: one row when the DAG is known there
SELECT is_paused FROM dag WHERE dag_id = %(dag_id)s;

-- name: job_lives :: in Airflow's database: one row when the job (of this host if one is named) lives
SELECT 1 AS lives
FROM job
WHERE job_type = %(job_type)s
    AND (hostname = %(hostname)s OR %(hostname)s::text IS NULL)
    AND state = 'running'
    AND latest_heartbeat > now() - make_interval(secs => %(seconds)s)
LIMIT 1;
