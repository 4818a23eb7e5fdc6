-- The ledger of before counts only rows that are there.
DO $$
BEGIN
    IF EXISTS (SELECT FROM ledger.files WHERE rows_expired > 0) THEN
        RAISE EXCEPTION 'months were dropped: the release before cannot account for the rows of % files',
            (SELECT count(*) FROM ledger.files WHERE rows_expired > 0)
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Unload these files first.';
    END IF;
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
                CASE WHEN coalesce(rows_loaded, 0) <> loaded THEN
                    format('its ledger entry says rows_loaded=%s, the tables hold %s', coalesce(rows_loaded, 0), loaded)
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

-- Lines of the audit stay: they say what was, so the rule of before holds for new ones only.
DO $$
DECLARE
    known text;
BEGIN
    SELECT regexp_replace(pg_get_expr(conbin, conrelid), '^\(\(action = ''expire''::text\) OR (.*)\)$', '\1')
    INTO STRICT known
    FROM pg_constraint
    WHERE conrelid = 'ledger.audit'::regclass AND conname = 'an_action_is_known';
    ALTER TABLE ledger.audit DROP CONSTRAINT an_action_is_known;
    EXECUTE format('ALTER TABLE ledger.audit ADD CONSTRAINT an_action_is_known CHECK (%s) NOT VALID', known);
END
$$;
DROP FUNCTION ledger.drop_month(text), ledger.hold_month(text);
DROP TABLE ledger.expired_months;
ALTER TABLE ledger.files DROP COLUMN rows_expired, DROP COLUMN expired_records;
