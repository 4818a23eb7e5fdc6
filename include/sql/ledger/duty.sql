-- What somebody on duty is told. An own clock may stand for the present: moments come from whoever asks.

-- name: hold :: nothing; until the transaction ends nobody else notes anything
LOCK TABLE ledger.duty IN SHARE ROW EXCLUSIVE MODE;

-- name: present :: a row a subject: its present state
SELECT kind, name, state, since, seen_at, numbers
FROM ledger.duty
ORDER BY kind, name;

-- name: wrong :: the subjects whose state is none of %(quiet)s, those first that began last
SELECT kind, name, state, since, seen_at, numbers
FROM ledger.duty
WHERE state <> ALL(%(quiet)s)
ORDER BY since DESC, kind, name
LIMIT %(most)s;

-- name: last_look :: one row: when anything was looked at last
SELECT max(seen_at) AS at FROM ledger.duty;

-- name: see :: nothing; the subject is in this state, since the moment, and was looked at
INSERT INTO ledger.duty (kind, name, state, since, seen_at, numbers)
VALUES (%(kind)s, %(name)s, %(state)s, %(since)s, %(now)s, %(numbers)s)
ON CONFLICT (kind, name) DO UPDATE
SET state = excluded.state, since = excluded.since, seen_at = excluded.seen_at, numbers = excluded.numbers;

-- name: forget :: nothing; the subject is not there any more
DELETE FROM ledger.duty WHERE kind = %(kind)s AND name = %(name)s;

-- name: note_change :: one row: the change that was noted
INSERT INTO ledger.duty_changes (kind, name, was, state, at, numbers)
VALUES (%(kind)s, %(name)s, %(was)s, %(state)s, %(now)s, %(numbers)s)
RETURNING change_id, kind, name, was, state, at, numbers;

-- name: untold :: a row a change after the last one of its subject that %(receiver)s has confirmed, in order
-- With what that one was, when the next one came, how often the subject changed within the hour, and since when the state
-- holds. Nobody's place is 0: then what all receivers have confirmed counts.
WITH told AS (
    SELECT DISTINCT ON (kind, name) kind, name, change_id, state
    FROM ledger.duty_changes AS each
    WHERE told_at IS NOT NULL
        OR EXISTS (
            SELECT FROM ledger.duty_told
            WHERE duty_told.change_id = each.change_id AND duty_told.receiver = %(receiver)s
        )
    ORDER BY kind, name, change_id DESC
), after AS (
    SELECT each.*, told.state AS told, lead(each.at) OVER (PARTITION BY kind, name ORDER BY each.change_id) AS ended_at
    FROM ledger.duty_changes AS each
    LEFT JOIN told USING (kind, name)
    WHERE each.change_id > coalesce(told.change_id, 0)
)
SELECT
    after.change_id,
    kind,
    name,
    after.was,
    after.state,
    after.at,
    after.ended_at,
    after.numbers,
    after.told,
    CASE WHEN after.ended_at IS NULL AND duty.state = after.state THEN duty.since ELSE after.at END AS since,
    (
        SELECT count(*)
        FROM ledger.duty_changes AS before
        WHERE before.kind = after.kind
            AND before.name = after.name
            AND before.change_id <= after.change_id
            AND before.at > after.at - interval '1 hour'
    ) AS lately
FROM after
LEFT JOIN ledger.duty USING (kind, name)
ORDER BY after.change_id;

-- name: last_told :: a row a change of the message that this receiver confirmed last, and when it did
SELECT told.at, kind, state
FROM ledger.duty_told AS told
JOIN ledger.duty_changes USING (change_id)
WHERE receiver = %(receiver)s AND told.at = (SELECT max(at) FROM ledger.duty_told WHERE receiver = %(receiver)s);

-- name: confirm :: nothing; this receiver has confirmed these changes
INSERT INTO ledger.duty_told (change_id, receiver, at)
SELECT change_id, %(receiver)s, %(now)s FROM unnest(%(changes)s::bigint[]) AS told (change_id)
ON CONFLICT DO NOTHING;

-- name: settle :: nothing; what the first %(receivers)s receivers have all confirmed is told
UPDATE ledger.duty_changes
SET told_at = confirmed.at
FROM (
    SELECT change_id, max(at) AS at
    FROM ledger.duty_told
    WHERE receiver <= %(receivers)s
    GROUP BY change_id
    HAVING count(*) = %(receivers)s
) AS confirmed
WHERE duty_changes.change_id = confirmed.change_id AND told_at IS NULL;

-- name: begin_telling :: one row: whether this session alone tells now, until it ends or says so
SELECT pg_try_advisory_lock(7215482032) AS begun;

-- name: end_telling :: nothing
SELECT pg_advisory_unlock(7215482032);

-- name: trim :: nothing; changes from before the cutoff go, but the last one of each subject, and the last that was told
DELETE FROM ledger.duty_changes AS old
WHERE at < %(cutoff)s
    AND EXISTS (
        SELECT FROM ledger.duty_changes AS later
        WHERE later.kind = old.kind AND later.name = old.name AND later.change_id > old.change_id
    )
    AND (
        old.told_at IS NULL
        OR EXISTS (
            SELECT FROM ledger.duty_changes AS later
            WHERE later.kind = old.kind AND later.name = old.name AND later.change_id > old.change_id
                AND later.told_at IS NOT NULL
        )
    );

-- name: judged_contracts :: a row a contract file that was judged in the folder as it is now: what is wrong with it, or nothing
SELECT file, problem FROM ledger.contracts WHERE seen_under = %(digest)s ORDER BY file;
