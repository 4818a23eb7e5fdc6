-- Contracts as the stream sees them, and the files that wait for one. %(digest)s is that of the folder of contracts.

-- name: release_waiting :: files that were judged under another folder of contracts
UPDATE ledger.files
SET waits_for = NULL, waits_under = NULL, error = NULL
WHERE waits_for IS NOT NULL AND (waits_under < %(digest)s OR waits_under > %(digest)s);

-- name: waiting_for_contract :: oldest first
SELECT file_id, name
FROM ledger.files
WHERE waits_for = 'contract' AND state = 'landed'
ORDER BY file_id;

-- name: count_waiting_for_contract :: one row: how many files wait under this folder, and why the oldest does
SELECT
    count(*) AS files,
    (array_agg(name || ': ' || coalesce(error, '') ORDER BY file_id))[1] AS example
FROM ledger.files
WHERE waits_for = 'contract' AND state = 'landed' AND waits_under = %(digest)s;

-- name: contract_problems :: what is wrong with contracts, as of this folder
SELECT file, problem
FROM ledger.contracts
WHERE problem IS NOT NULL AND seen_under = %(digest)s
ORDER BY file;

-- name: note_usable :: the text is the one to go back to when the file breaks
INSERT INTO ledger.contracts (file, usable, seen_under)
VALUES (%(file)s, %(usable)s, %(digest)s)
ON CONFLICT (file) DO UPDATE
SET usable = excluded.usable, problem = NULL, seen_under = excluded.seen_under, seen_at = clock_timestamp();

-- name: note_problem :: the last usable text stays
INSERT INTO ledger.contracts (file, problem, seen_under)
VALUES (%(file)s, %(problem)s, %(digest)s)
ON CONFLICT (file) DO UPDATE
SET problem = excluded.problem, seen_under = excluded.seen_under, seen_at = clock_timestamp();

-- name: last_usable :: the contracts as they were when they could last be used
SELECT file, usable
FROM ledger.contracts
WHERE usable IS NOT NULL;
