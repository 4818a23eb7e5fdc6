-- What is done with each report of include/sql/reports. {…} are the names of tables and columns; {table} is what is
-- published, {staging} what was built of it.

-- name: begin :: nothing; the transaction that builds has begun
-- Everything up to the last staging table is one transaction on one snapshot, so that reports agree with one another
-- and with their control totals while events go on arriving. The lock comes before the snapshot (LOCK TABLE takes
-- none) and makes a second run wait; readers do not notice it.
--
-- Cost: every refresh reads events whole, five times (last_refresh, sales, visits, products, searches), so it grows
-- with the events that there are; a removed file is simply not there any more. Three million events on 2 cores took 6 s.
-- Only sales and searches without result are sorted; the rest is hashed, in parallel (CREATE TABLE AS), into tables
-- without WAL. What is published is the difference to the last refresh, so writes grow with the change. When a refresh
-- takes longer than SLUICE_REPORT_EVERY_SECONDS, runs follow one another without overlapping: raise that setting.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;
SET LOCAL work_mem = '64MB';
SET LOCAL jit = off;
-- Airflow's sessions are not ours: also one of them that is frozen gives the reports free.
SET LOCAL idle_in_transaction_session_timeout = '60s';
LOCK TABLE {control} IN SHARE ROW EXCLUSIVE MODE;

-- name: build :: nothing; the rows stand in a table without WAL
DROP TABLE IF EXISTS {staging};
CREATE UNLOGGED TABLE {staging} AS
{rows};

-- name: build_temporary :: nothing; the rows stand in a table of this session's own
DROP TABLE IF EXISTS {staging};
CREATE TEMPORARY TABLE {staging} AS
{rows};

-- name: analyze :: nothing
-- The checks and the publishing join what nobody has seen before: without statistics their plans are a guess.
ANALYZE {stagings};

-- name: check_key :: one row, true: no key is there twice or missing
SELECT NOT EXISTS (
    SELECT FROM {staging} GROUP BY {key} HAVING count(*) <> 1 OR num_nulls({key}) > 0
) AS keys_are_there_once;

-- name: check_both :: one row: what the report's own check says, and its key
SELECT checked.*, keys.*
FROM (
    {check}
) AS checked
CROSS JOIN (
    {check_key}
) AS keys;

-- name: begin_publishing :: nothing; raises when what was built is not what was checked, or knows of rows that are gone
-- One transaction: rows that are gone or differ go, rows that are new or differ come. Whoever reads sees all of the last
-- refresh or all of this one, at every isolation level. The staging tables go with it; a failed check leaves them to be
-- looked at.
SET LOCAL idle_in_transaction_session_timeout = '60s';
LOCK TABLE {control} IN SHARE ROW EXCLUSIVE MODE;
DELETE FROM ledger.failed_refresh;
DO $$
BEGIN
    -- The checks vouch for the tables that this run built. A server that crashed since has emptied them.
    IF NOT EXISTS (SELECT FROM {staging} WHERE built_by = {run_id}) THEN
        RAISE EXCEPTION 'the checked staging tables of this run were replaced or emptied: run report_sales again';
    END IF;
    -- A file was unloaded meanwhile, or a merge set rows of it aside: what was built before has rows that are gone. The
    -- audit only grows, so its count tells, whatever the clock does, and whether or not an unload could refresh the reports.
    IF EXISTS (
        SELECT FROM {staging} WHERE unloads <> (SELECT count(*) FROM ledger.audit WHERE action IN ('unload', 'merge'))
    ) THEN
        RAISE EXCEPTION 'rows left events after the tables of this run were built: run report_sales again'
            USING ERRCODE = 'serialization_failure';
    END IF;
END
$$;

-- name: forget_failure :: nothing
DELETE FROM ledger.failed_refresh;

-- name: note_failure :: nothing
INSERT INTO ledger.failed_refresh (failed_at, report, error) VALUES (now(), %(report)s, %(error)s);

-- name: publish_by_key :: nothing; only the rows that changed were written
DELETE FROM {table} AS published
USING (TABLE {table} EXCEPT TABLE {staging}) AS outdated
WHERE {same_key};
INSERT INTO {table}
TABLE {staging} EXCEPT TABLE {table};

-- name: publish_whole :: nothing; of a report of one row
DELETE FROM {table};
INSERT INTO {table} TABLE {staging};

-- name: drop_staging :: nothing
DROP TABLE {stagings};

-- name: make_draft :: nothing; an empty table of this session's own, with the report's columns
CREATE TEMPORARY TABLE {staging} ON COMMIT DROP AS
{rows}
WITH NO DATA;

-- name: is_as_drafted :: one row: whether the table is there, and whether it has the draft's columns
SELECT
    to_regclass(%(table)s) IS NOT NULL AS is_there,
    (
        SELECT array_agg(format('%%s %%s', attname, format_type(atttypid, atttypmod)) ORDER BY attnum)
        FROM pg_attribute
        WHERE attrelid = to_regclass(%(table)s) AND attnum > 0 AND NOT attisdropped
    ) = (
        SELECT array_agg(format('%%s %%s', attname, format_type(atttypid, atttypmod)) ORDER BY attnum)
        FROM pg_attribute
        WHERE attrelid = to_regclass(%(draft)s) AND attnum > 0 AND NOT attisdropped
    ) AS is_same;

-- name: drop_table :: nothing; raises when a view needs it
DROP TABLE {table};

-- name: make_table :: nothing; the table that is published, empty
CREATE TABLE {table} (LIKE {staging});

-- name: add_key :: nothing
-- A key may be of any length, which no index of sorted values takes: what is unique is so by its hash and then by itself.
ALTER TABLE {table} ALTER COLUMN {key} SET NOT NULL, ADD EXCLUDE USING hash ({key} WITH =);

-- name: add_wide_key :: nothing; of several columns, which no index of hashes takes
ALTER TABLE {table} ADD PRIMARY KEY ({key});

-- name: comment :: nothing
COMMENT ON TABLE {table} IS {says};

-- name: grant_reading :: nothing; whoever may use the schema may read the reports
GRANT SELECT ON {table} TO PUBLIC;

-- name: grant_publishing :: nothing; the reader publishes, and so does an unload, in its own transaction
GRANT INSERT, DELETE ON {table} TO sluice_writer, sluice_reader;

-- name: has_roles :: one row: whether there are roles of ours, or one login for everything
SELECT count(*) = 2 AS has_roles FROM pg_roles WHERE rolname IN ('sluice_writer', 'sluice_reader');
