-- name: create_history :: nothing; the table of what was applied
CREATE TABLE IF NOT EXISTS public.sluice_migrations (
    name       text PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- name: applied_names :: one row a migration
SELECT name FROM public.sluice_migrations;

-- name: record_applied :: nothing
INSERT INTO public.sluice_migrations (name) VALUES (%(name)s);
