-- name: create_history :: nothing; the table of what was applied
CREATE TABLE IF NOT EXISTS public.sluice_migrations (
    name       text PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- name: applied_names :: one row a migration
SELECT name FROM public.sluice_migrations;

-- name: record_applied :: nothing
INSERT INTO public.sluice_migrations (name) VALUES (%(name)s);

-- name: be_patient :: nothing; until the transaction ends, no lock is waited for longer
SELECT set_config('lock_timeout', %(timeout)s, true);

-- name: in_the_way :: the first ten sessions that use our tables in a transaction, the oldest one first
SELECT pid, application_name AS name, usename AS role
FROM pg_stat_activity
WHERE pid <> pg_backend_pid()
    AND pid IN (
        SELECT held.pid
        FROM pg_locks AS held
        JOIN pg_class ON pg_class.oid = held.relation
        WHERE locktype = 'relation'
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND (relnamespace = to_regnamespace('ledger') OR held.relation = to_regclass('public.events'))
    )
ORDER BY xact_start, pid
LIMIT 10;
