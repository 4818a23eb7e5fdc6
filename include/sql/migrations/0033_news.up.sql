-- Who outside is told of what happens here (a backend for lineage, Airflow's assets), and what they have not been told
-- yet. News are noted in the transaction that makes them, for those who asked; who asks nothing costs nothing.

CREATE TABLE ledger.tellers (
    teller  text PRIMARY KEY,
    wants   text[] NOT NULL,
    since   timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE ledger.tellers IS 'Each that tells somebody outside of news, and which; housekeeping forgets one that has not been seen for long';

CREATE TABLE ledger.untold (
    untold_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    news_id   uuid NOT NULL DEFAULT gen_random_uuid(),
    teller    text NOT NULL,
    news      text NOT NULL,
    at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    file_id   bigint,
    details   jsonb NOT NULL,
    CONSTRAINT news_are_of_a_known_kind CHECK (
        news IN ('loaded', 'rejected', 'changed', 'withdrawn', 'batch', 'refreshed')
    )
);
COMMENT ON TABLE ledger.untold IS 'News that a teller has not told yet; it deletes what it has told';
COMMENT ON COLUMN ledger.untold.news IS
    'Of a file: loaded, rejected, changed (other rows than before count as its own), withdrawn; a micro-batch; reports refreshed';
CREATE INDEX untold_by_teller ON ledger.untold (teller, untold_id);

-- All run as the owner: whoever writes needs no right on the table.
CREATE FUNCTION ledger.note_news_of_file() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    kind constant text := CASE
        WHEN NEW.state = 'loaded' AND OLD.state IS DISTINCT FROM 'loaded' THEN 'loaded'
        WHEN NEW.state = 'loaded' THEN 'changed'
        WHEN NEW.state = 'rejected' AND OLD.state IS DISTINCT FROM 'rejected' THEN 'rejected'
        WHEN NEW.state IN ('unloaded', 'replaced') AND OLD.state = 'loaded' THEN 'withdrawn'
    END;
BEGIN
    INSERT INTO ledger.untold (teller, news, file_id, details)
    SELECT
        teller, kind, NEW.file_id,
        jsonb_build_object(
            'state', NEW.state, 'epoch', NEW.epoch, 'lane', NEW.lane, 'rows_read', NEW.rows_read,
            'rows_loaded', NEW.rows_loaded, 'rows_rejected', NEW.rows_rejected, 'rows_duplicate', NEW.rows_duplicate,
            'rows_before', OLD.rows_loaded
        )
    FROM ledger.tellers
    WHERE kind = ANY (wants);
    RETURN NULL;
END
$$;

CREATE FUNCTION ledger.note_news_of_batch() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO ledger.untold (teller, news, details)
    SELECT teller, 'batch', jsonb_build_object('epoch', NEW.epoch, 'lane', NEW.lane, 'batch', NEW.batch)
    FROM ledger.tellers
    WHERE 'batch' = ANY (wants);
    RETURN NULL;
END
$$;

CREATE FUNCTION ledger.note_news_of_reports() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO ledger.untold (teller, news, details)
    SELECT teller, 'refreshed', to_jsonb(NEW)
    FROM ledger.tellers
    WHERE 'refreshed' = ANY (wants);
    RETURN NULL;
END
$$;

CREATE TRIGGER a_file_that_comes_finished_is_news AFTER INSERT ON ledger.files
FOR EACH ROW WHEN (NEW.state IN ('loaded', 'rejected'))
EXECUTE FUNCTION ledger.note_news_of_file();
CREATE TRIGGER what_becomes_of_a_file_is_news AFTER UPDATE OF state, rows_loaded ON ledger.files
FOR EACH ROW WHEN (
    (NEW.state <> OLD.state AND NEW.state <> 'landed')
    OR (NEW.state = 'loaded' AND NEW.rows_loaded <> OLD.rows_loaded)
)
EXECUTE FUNCTION ledger.note_news_of_file();
CREATE TRIGGER a_batch_with_files_is_news AFTER INSERT ON ledger.batches
FOR EACH ROW WHEN (NEW.files > 0)
EXECUTE FUNCTION ledger.note_news_of_batch();
CREATE TRIGGER a_refresh_is_news AFTER INSERT ON report.last_refresh
FOR EACH ROW EXECUTE FUNCTION ledger.note_news_of_reports();

-- They run as the owner: nobody but the triggers has a use for them.
REVOKE ALL ON FUNCTION ledger.note_news_of_file(), ledger.note_news_of_batch(), ledger.note_news_of_reports() FROM PUBLIC;
