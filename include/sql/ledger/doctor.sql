-- What `make doctor` asks of the ledger beside what `make status` asks. Read only.

-- name: clock :: one row: the server's time, and the newest moment that something was noted at
SELECT
    clock_timestamp() AS now,
    greatest(
        (SELECT moved_at FROM ledger.files ORDER BY file_id DESC LIMIT 1),
        (SELECT submitted_at FROM ledger.streams ORDER BY epoch DESC LIMIT 1),
        (SELECT ended_at FROM ledger.recounts ORDER BY recount_id DESC LIMIT 1)
    ) AS newest;
