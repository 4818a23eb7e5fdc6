-- Months older than the kept ones are dropped: what then becomes of the law of conservation, and who drops them.

-- Rows that were loaded and have left events with their month, and the sum of their record numbers, by which a recount still
-- sees whether each record is in one place.
ALTER TABLE ledger.files
    ADD COLUMN rows_expired bigint NOT NULL DEFAULT 0,
    ADD COLUMN expired_records numeric NOT NULL DEFAULT 0,
    ADD CONSTRAINT what_expires_was_loaded CHECK (rows_expired BETWEEN 0 AND coalesce(rows_loaded, 0));
COMMENT ON COLUMN ledger.files.rows_expired IS 'Of rows_loaded: those that left events when their month was dropped';
COMMENT ON COLUMN ledger.files.expired_records IS 'The sum of the record numbers of the rows that expired';

CREATE TABLE ledger.expired_months (
    month      text NOT NULL,
    begins     timestamptz NOT NULL,
    ends       timestamptz NOT NULL,
    dropped_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    files      bigint NOT NULL,
    rows       bigint NOT NULL,
    PRIMARY KEY (begins, dropped_at)
);
COMMENT ON TABLE ledger.expired_months IS 'The partitions of events that were dropped because they were older than the kept months';

-- They run as the owner, whose the partitions are, and only for one that is older than what is kept. The writer holds such a
-- month, counts its rows, settles the ledger and drops the month, all in one transaction.
CREATE FUNCTION ledger.hold_month(of_month text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM ledger.months() WHERE month = of_month AND ends <= ledger.expired_before()) THEN
        RAISE EXCEPTION '% is no partition of events whose rows have all expired', of_month USING ERRCODE = 'undefined_table';
    END IF;
    EXECUTE format('LOCK TABLE ONLY public.%I IN SHARE MODE', of_month);
END
$$;

CREATE FUNCTION ledger.drop_month(of_month text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM ledger.hold_month(of_month);
    EXECUTE format('DROP TABLE public.%I', of_month);
END
$$;

REVOKE ALL ON FUNCTION ledger.hold_month(text), ledger.drop_month(text) FROM PUBLIC;

-- An audit line for each file that loses rows with a month, beside the actions that are known already.
DO $$
DECLARE
    known text;
BEGIN
    SELECT pg_get_expr(conbin, conrelid) INTO STRICT known
    FROM pg_constraint
    WHERE conrelid = 'ledger.audit'::regclass AND conname = 'an_action_is_known';
    ALTER TABLE ledger.audit DROP CONSTRAINT an_action_is_known;
    EXECUTE format('ALTER TABLE ledger.audit ADD CONSTRAINT an_action_is_known CHECK (action = ''expire'' OR %s)', known);
END
$$;

CREATE OR REPLACE FUNCTION ledger.verify(of_file bigint) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    WITH in_events AS (
        SELECT count(*) AS rows_found, ledger.receipt_of(bit_xor(ledger.row_digest(present))) AS digest
        FROM ledger.rows_of(of_file) AS present
    ), found AS (
        SELECT
            in_events.rows_found AS loaded,
            (
                SELECT count(*) FROM ledger.rejects
                WHERE rejects.file_id = of_file AND rejects.state = 'quarantined'
            ) AS rejected,
            (SELECT count(*) FROM ledger.duplicates WHERE duplicates.file_id = of_file) AS duplicate,
            in_events.digest
        FROM in_events
    ), judged AS (
        SELECT
            files.*,
            found.*,
            array_remove(ARRAY[
                CASE WHEN coalesce(rows_loaded, 0) <> loaded + rows_expired THEN
                    format(
                        'its ledger entry says rows_loaded=%s of which %s expired, the tables hold %s',
                        coalesce(rows_loaded, 0), rows_expired, loaded
                    )
                END,
                CASE WHEN coalesce(rows_rejected, 0) <> rejected THEN
                    format('its ledger entry says rows_rejected=%s, the tables hold %s', coalesce(rows_rejected, 0), rejected)
                END,
                CASE WHEN coalesce(rows_duplicate, 0) <> duplicate THEN
                    format('its ledger entry says rows_duplicate=%s, the tables hold %s', coalesce(rows_duplicate, 0), duplicate)
                END,
                CASE WHEN receipt <> digest THEN
                    format('its receipt is %s, its rows give %s: a row was changed, added or taken by hand', receipt, digest)
                END
            ], NULL) AS problems
        FROM ledger.files
        CROSS JOIN found
        WHERE files.file_id = of_file
    )
    SELECT jsonb_build_object(
        'file_id', file_id,
        'name', name,
        'sha256', sha256,
        'bytes', bytes,
        'state', state,
        'rows_read', rows_read,
        'rows_loaded', rows_loaded,
        'rows_expired', rows_expired,
        'rows_rejected', rows_rejected,
        'rows_duplicate', rows_duplicate,
        'receipt', coalesce(receipt, 'pending'),
        'version', receipt_version,
        'columns', ledger.receipt_columns(),
        'made_at', to_char(receipt_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        'digest', digest,
        'holds', CASE WHEN cardinality(problems) > 0 THEN false WHEN receipt IS NOT NULL THEN true END,
        'problems', problems
    )
    FROM judged
$$;
