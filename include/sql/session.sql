-- What each of our sessions asks of PostgreSQL first, as a JSON object of settings.

-- name: set_named :: one row: how many settings were set; values by name
SELECT count(set_config(key, value, false)) FROM json_each_text(%(settings)s::json);
