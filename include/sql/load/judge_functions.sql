-- DuckDB. By function: its kinds, whether a replay gives the same value, whether each call may give another.

-- DuckDB calls what reads the session's time zone steady only within a query. The contract sets that time zone, so a
-- replay reads the same one: such a function takes a moment or gives one. Of these, only age also reads the clock.
WITH overloads AS (
    SELECT
        lower(function_name) AS name,
        function_type,
        coalesce(stability, 'CONSISTENT') AS stability,
        len(parameter_types) > 0
            AND list_has_any(
                list_append(parameter_types, return_type), ['TIMESTAMP WITH TIME ZONE', 'TIMESTAMPTZ_NS', 'TIME WITH TIME ZONE']
            ) AS is_of_moments
    FROM duckdb_functions()
)
SELECT
    name,
    list(DISTINCT function_type) AS kinds,
    bool_and(stability = 'CONSISTENT' OR (stability <> 'VOLATILE' AND is_of_moments AND name <> 'age')) AS is_steady,
    bool_or(stability = 'VOLATILE') AS is_volatile
FROM overloads
GROUP BY name;
