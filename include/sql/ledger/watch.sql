-- Which mover stays and moves what lands: a session lock, which ends with its session. And word of what it moved.

-- name: begin :: one row: whether the watch is this session's now, until its end
SELECT pg_try_advisory_lock(%(key)s) AS begun;

-- name: end :: nothing
SELECT pg_advisory_unlock(%(key)s);

-- name: is_kept :: one row: whether a session keeps the watch
SELECT NOT pg_try_advisory_xact_lock_shared(%(key)s) AS is_kept;

-- name: tell_landed :: nothing; who listens hears that files wait to be loaded, once this is committed
NOTIFY sluice_landed;

-- name: listen_landed :: nothing; this session hears of it from now on
LISTEN sluice_landed;
