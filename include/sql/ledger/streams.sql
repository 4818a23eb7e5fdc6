-- The lease on being the one stream: ledger.streams, one row a stream's life. The clock is always PostgreSQL's. It may be
-- set back: so a lease says also from when it holds, one length before it was given, and one that lies beyond that holds
-- no more; its stream, should it live, renews it within a second.
--
-- Locks: a file's transaction holds the stream's row FOR KEY SHARE (hold_stream), so renewing the lease, a plain
-- UPDATE, never waits for a long load. Ending a stream takes the row FOR UPDATE first, so it waits for every
-- file transaction of that stream, and none can commit afterwards.

-- name: find_unended :: the row of the stream that has not ended, its lease valid or lapsed
SELECT epoch, submitted_by, host, pid, state, clock_timestamp() BETWEEN lease_from AND lease_until AS holds_lease
FROM ledger.streams
WHERE ended_at IS NULL;

-- name: find_living :: the row of the living stream
SELECT *
FROM ledger.streams
WHERE ended_at IS NULL AND clock_timestamp() BETWEEN lease_from AND lease_until;

-- name: insert_stream :: epoch and token, or nothing when another taker was first
-- The generation is that of the tables which this release writes.
INSERT INTO ledger.streams (submitted_by, run_id, generation, lease_from, lease_until)
VALUES (
    %(submitted_by)s,
    %(run_id)s,
    2,
    clock_timestamp() - make_interval(secs => %(seconds)s),
    clock_timestamp() + make_interval(secs => %(seconds)s)
)
ON CONFLICT DO NOTHING
RETURNING epoch, token::text AS token;

-- name: lock_lapsed :: the epoch, locked against its file transactions; nothing when the stream renewed or ended
SELECT epoch
FROM ledger.streams
WHERE epoch = %(epoch)s AND ended_at IS NULL AND clock_timestamp() NOT BETWEEN lease_from AND lease_until
FOR UPDATE;

-- name: lock_unended :: the epoch, locked against its file transactions; nothing when it has ended
SELECT epoch
FROM ledger.streams
WHERE epoch = %(epoch)s AND ended_at IS NULL
FOR UPDATE;

-- name: close_stream :: nothing; the stream has ended
UPDATE ledger.streams
SET state = %(state)s, state_since = clock_timestamp(), ended_at = clock_timestamp(), ended_how = %(how)s,
    ended_because = %(because)s
WHERE epoch = %(epoch)s;

-- name: terminate_sessions :: one row a session of this or an older stream that was told to end
-- Anybody may give a session any name. What holds a stream's row holds this lock too, for which a role must be allowed to
-- write the ledger; and a session that this one may not end is none of the pipeline's.
SELECT pid, application_name, pg_terminate_backend(pid) AS told
FROM pg_stat_activity AS session
WHERE datname = current_database()
    AND pid <> pg_backend_pid()
    AND substring(application_name FROM '^sluice-stream-([0-9]+)$')::numeric <= %(epoch)s
    AND pg_has_role(usesysid, 'USAGE')
    AND EXISTS (
        SELECT FROM pg_locks AS held
        WHERE held.pid = session.pid
            AND held.locktype = 'relation'
            AND held.relation = 'ledger.streams'::regclass
            AND held.mode = 'RowShareLock'
    );

-- name: begin_stream :: the epoch, or nothing when the token is unknown, used or fenced
UPDATE ledger.streams
SET state = 'running',
    state_since = clock_timestamp(),
    started_at = clock_timestamp(),
    lease_from = clock_timestamp() - make_interval(secs => %(seconds)s),
    lease_until = clock_timestamp() + make_interval(secs => %(seconds)s),
    host = %(host)s,
    pid = %(pid)s
WHERE token::text = %(token)s AND started_at IS NULL AND ended_at IS NULL
RETURNING epoch;

-- name: renew_lease :: whether a stop was requested, or nothing when the stream has ended
UPDATE ledger.streams
SET lease_from = clock_timestamp() - make_interval(secs => %(seconds)s),
    lease_until = clock_timestamp() + make_interval(secs => %(seconds)s)
WHERE epoch = %(epoch)s AND ended_at IS NULL
RETURNING stop_requested IS NOT NULL AS stop_requested;

-- name: say_state :: the epoch, or nothing when the stream has ended
UPDATE ledger.streams
SET state = %(state)s,
    state_since = CASE WHEN state = %(state)s THEN state_since ELSE clock_timestamp() END,
    last_error = coalesce(%(error)s::text, last_error),
    last_error_at = CASE WHEN %(error)s::text IS NULL THEN last_error_at ELSE clock_timestamp() END
WHERE epoch = %(epoch)s AND ended_at IS NULL
RETURNING epoch;

-- name: request_stop :: epoch and whether it lives, of the stream that was asked
UPDATE ledger.streams
SET stop_requested = coalesce(stop_requested, clock_timestamp())
WHERE ended_at IS NULL AND epoch = coalesce(%(epoch)s::bigint, epoch)
RETURNING epoch, clock_timestamp() BETWEEN lease_from AND lease_until AS living;

-- name: read_pulse :: one row: does a stream live, do landed files wait, may a missing stream be submitted now
-- A stream that asked itself to stop wants no pause: nobody wants the pipeline to stop.
-- A stream that ended itself because its environment is wrong is followed after 15 s, and up to 5 minutes when that
-- goes on: somebody has to correct something, and a JVM that finds that nobody has costs 10 s of a core.
WITH last_stream AS (
    SELECT
        ended_at,
        stop_requested IS NOT NULL AND ended_how NOT IN ('submitter_died', 'signal', 'life_over') AS was_asked,
        ended_how = 'environment' AS stopped_itself
    FROM ledger.streams
    ORDER BY epoch DESC
    LIMIT 1
), recent_deaths AS (
    SELECT
        count(*) FILTER (
            WHERE ended_at BETWEEN clock_timestamp() - interval '5 minutes' AND clock_timestamp()
        ) AS deaths,
        count(*) FILTER (WHERE ended_how = 'environment') AS stops
    FROM ledger.streams
    WHERE ended_at > clock_timestamp() - interval '30 minutes' AND stop_requested IS NULL
)
SELECT
    EXISTS (
        SELECT FROM ledger.streams WHERE ended_at IS NULL AND clock_timestamp() BETWEEN lease_from AND lease_until
    ) AS living,
    EXISTS (SELECT FROM ledger.files WHERE state = 'landed' AND waits_for IS NULL) AS waiting,
    coalesce(
        (
            SELECT clock_timestamp() NOT BETWEEN ended_at AND ended_at + make_interval(secs => CASE
                WHEN was_asked THEN %(stop_grace_seconds)s
                WHEN stopped_itself THEN least(300, 15 * power(2, least(stops, 10) - 1))
                ELSE least(%(backoff_max_seconds)s, power(2, least(deaths, 10)))
            END)
            FROM last_stream CROSS JOIN recent_deaths
        ),
        true
    ) AS due;

-- name: last_error :: the last error that a stream said, newest first
SELECT epoch, last_error, last_error_at, ended_because
FROM ledger.streams
ORDER BY epoch DESC
LIMIT 1;
