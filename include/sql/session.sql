-- What each of our sessions asks of PostgreSQL first, as a JSON object of settings. One text for each style of parameters.

-- name: set_named :: one row: how many settings were set; values by name
SELECT count(set_config(key, value, false)) FROM json_each_text(%(settings)s::json);

-- name: set_numbered :: the same; values in order
SELECT count(set_config(key, value, false)) FROM json_each_text($1::text::json);
