-- A receipt of each loaded file: a digest over its rows as they are in events, so that conservation can be checked again
-- for one file, years later. docs/decisions/0009-a-receipt-is-an-xor-of-rows.md says why it has this form.

ALTER TABLE ledger.files
    ADD COLUMN receipt text,
    ADD COLUMN receipt_version smallint,
    ADD COLUMN receipt_at timestamptz,
    ADD CONSTRAINT a_receipt_is_whole_or_pending CHECK (
        num_nonnulls(receipt, receipt_version, receipt_at) IN (0, 3)
        AND (receipt IS NULL OR receipt ~ '^[0-9a-f]{32}$')
        AND (receipt_version IS NULL OR receipt_version = 1)
    );
CREATE INDEX files_without_receipt ON ledger.files (file_id) WHERE state = 'loaded' AND receipt IS NULL;

-- An audit line for each change of a receipt, beside the actions that are known already.
DO $$
DECLARE
    known text;
BEGIN
    SELECT pg_get_expr(conbin, conrelid) INTO STRICT known
    FROM pg_constraint
    WHERE conrelid = 'ledger.audit'::regclass AND conname = 'an_action_is_known';
    ALTER TABLE ledger.audit DROP CONSTRAINT an_action_is_known;
    EXECUTE format(
        'ALTER TABLE ledger.audit ADD CONSTRAINT an_action_is_known CHECK (action = ''receipt'' OR %s)', known
    );
END
$$;

-- Version 1. The columns in the order in which they are digested; the file's number is none of them, so that a row
-- which another file takes over, or that lands again after a restore, is digested as before.
CREATE FUNCTION ledger.receipt_columns() RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT ARRAY[
        'record_number', 'event_id', 'event_type', 'event_time', 'user_id', 'product_id', 'category', 'price',
        'session_id', 'ip_address', 'user_agent', 'search_query', 'search_results_count', 'quantity', 'total_amount',
        'payment_method', 'extra'
    ]
$$;

-- Each value as an SQL literal: NULL is not an empty text, and no setting of a session or server has a say in it.
CREATE FUNCTION ledger.row_digest(event public.events) RETURNS bit
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT ('x' || md5(format(
        '%L,%L,%L,%L,%L,%L,%L,%L,%L,%L,%L,%L,%L,%L,%L,%L,%L',
        event.record_number, event.event_id, event.event_type, extract(epoch FROM event.event_time), event.user_id,
        event.product_id, event.category, event.price, event.session_id, event.ip_address, event.user_agent,
        event.search_query, event.search_results_count, event.quantity, event.total_amount, event.payment_method,
        event.extra
    )))::bit(128)
$$;

-- The digests of some rows, put together by bit_xor (NULL: of no row), as the text that a receipt is.
CREATE FUNCTION ledger.receipt_of(digests bit) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT lpad(to_hex(coalesce(digests, B'0'::bit(128))::bit(64)::bigint), 16, '0')
        || lpad(to_hex((coalesce(digests, B'0'::bit(128)) << 64)::bit(64)::bigint), 16, '0')
$$;

-- A receipt after rows with these digests have come or gone: the same operation does both.
CREATE FUNCTION ledger.receipt_after(receipt text, digests bit) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT ledger.receipt_of(('x' || receipt)::bit(128) # digests)
$$;

CREATE FUNCTION ledger.digest(of_file bigint) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT ledger.receipt_of(bit_xor(ledger.row_digest(events))) FROM public.events WHERE events.file_id = of_file
$$;

-- Counts and digests one file's rows anew. holds: true, false (problems says why), or null while the receipt is pending
-- and the counts are right. NULL when there is no such file.
CREATE FUNCTION ledger.verify(of_file bigint) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    WITH in_events AS (
        SELECT count(*) AS rows_found, ledger.receipt_of(bit_xor(ledger.row_digest(events))) AS digest
        FROM public.events
        WHERE events.file_id = of_file
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

REVOKE ALL ON FUNCTION
    ledger.receipt_columns(), ledger.row_digest(public.events), ledger.receipt_of(bit), ledger.receipt_after(text, bit),
    ledger.digest(bigint), ledger.verify(bigint)
FROM PUBLIC;
