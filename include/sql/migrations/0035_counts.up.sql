-- What has happened, counted as it happens, for a monitor that asks every few seconds: sums over all files would take
-- longer, the more there are. Counts begin at 0 with this release.

-- In the order in which a load takes them. Readers go on.
LOCK TABLE ledger.streams, ledger.files IN EXCLUSIVE MODE;

-- Without a key: whoever adds to a count adds a row, and so waits for nobody. Rows of one count are summed to one
-- every half a minute, and by housekeeping.
CREATE TABLE ledger.counts (
    contract text NOT NULL,
    what     text NOT NULL,
    label    text NOT NULL,
    amount   double precision NOT NULL,
    CONSTRAINT a_count_only_grows CHECK (amount > 0),
    CONSTRAINT what_is_counted_is_known CHECK (what IN ('files', 'rows', 'rejects', 'lag', 'lag_seconds'))
);
COMMENT ON TABLE ledger.counts IS
    'What has happened: the sum of the amounts of one contract, kind and label only grows, also when a file is taken back';
COMMENT ON COLUMN ledger.counts.contract IS 'unknown: the file has none';
COMMENT ON COLUMN ledger.counts.what IS
    'files that came to a state (label), rows that a file came to have (loaded, rejected, duplicate) or that were taken '
    'back (withdrawn), rejects by the rule that they break, files by their seconds from landed to queryable (label: up to '
    'so many), the sum of these seconds';

-- As the owner, as ledger.note_file(): whoever writes files needs no right on the table.
CREATE FUNCTION ledger.count_file() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    is_same   constant boolean := TG_OP = 'UPDATE' AND OLD.state = NEW.state;
    is_loaded constant boolean := NEW.state = 'loaded';
    rejected  constant bigint := CASE
        WHEN is_loaded THEN NEW.rows_rejected - CASE WHEN is_same THEN OLD.rows_rejected ELSE 0 END
    END;
    seconds   constant double precision := CASE
        WHEN is_loaded AND NOT is_same AND TG_OP = 'UPDATE'
        THEN greatest(extract(epoch FROM NEW.loaded_at - coalesce(NEW.landed_again_at, NEW.landed_at)), 0)
    END;
BEGIN
    INSERT INTO ledger.counts (contract, what, label, amount)
    SELECT coalesce(NEW.contract, 'unknown'), what, label, amount
    FROM (
        VALUES
            ('files', NEW.state, CASE WHEN NOT is_same THEN 1.0::double precision END),
            (
                'rows', 'loaded',
                CASE WHEN is_loaded THEN NEW.rows_loaded - CASE WHEN is_same THEN OLD.rows_loaded ELSE 0 END END
            ),
            ('rows', 'rejected', rejected),
            (
                'rows', 'duplicate',
                CASE WHEN is_loaded THEN NEW.rows_duplicate - CASE WHEN is_same THEN OLD.rows_duplicate ELSE 0 END END
            ),
            ('rows', 'withdrawn', CASE WHEN NEW.state IN ('unloaded', 'replaced') AND TG_OP = 'UPDATE' THEN OLD.rows_loaded END),
            -- A load says itself which rules its rejects break. Of a loaded file only the merge sets rows aside.
            ('rejects', 'event_id.conflict', CASE WHEN is_same THEN rejected END),
            (
                'lag',
                CASE
                    WHEN seconds <= 0.5 THEN '0.5'
                    WHEN seconds <= 1 THEN '1'
                    WHEN seconds <= 2 THEN '2'
                    WHEN seconds <= 5 THEN '5'
                    WHEN seconds <= 10 THEN '10'
                    WHEN seconds <= 30 THEN '30'
                    WHEN seconds <= 60 THEN '60'
                    WHEN seconds <= 300 THEN '300'
                    WHEN seconds <= 900 THEN '900'
                    WHEN seconds <= 3600 THEN '3600'
                    ELSE '+Inf'
                END,
                CASE WHEN seconds IS NOT NULL THEN 1 END
            ),
            ('lag_seconds', '', seconds)
    ) AS counted (what, label, amount)
    WHERE amount > 0;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION ledger.count_file() FROM PUBLIC;

CREATE TRIGGER a_file_that_comes_in_its_last_state_is_counted AFTER INSERT ON ledger.files
FOR EACH ROW WHEN (NEW.state <> 'landed')
EXECUTE FUNCTION ledger.count_file();
CREATE TRIGGER what_becomes_of_a_file_is_counted
AFTER UPDATE OF state, rows_loaded, rows_rejected, rows_duplicate ON ledger.files
FOR EACH ROW WHEN (
    NEW.state <> 'landed' AND NEW.state <> OLD.state
    OR NEW.state = 'loaded'
    AND OLD.state = 'loaded'
    AND (
        NEW.rows_loaded IS DISTINCT FROM OLD.rows_loaded
        OR NEW.rows_rejected IS DISTINCT FROM OLD.rows_rejected
        OR NEW.rows_duplicate IS DISTINCT FROM OLD.rows_duplicate
    )
)
EXECUTE FUNCTION ledger.count_file();
