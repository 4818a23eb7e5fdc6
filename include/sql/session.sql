-- What each of our sessions asks of PostgreSQL first, as a JSON object of settings.

-- name: set_named :: one row: how many settings were set; values by name
SELECT count(set_config(key, value, false)) FROM json_each_text(%(settings)s::json);

-- name: commit_durably :: nothing; what is committed is on disk, also where the server's own setting would leave that open
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';
