"""The reports as refreshes have kept them up, against a count from nothing, and against figures counted otherwise.

``differences`` finds what goes astray from one refresh to the next. What is wrong in a report's own query is wrong in
both: ``oracle_differences`` counts a few figures straight from events, in SQL of its own.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from psycopg import sql
from psycopg.rows import dict_row

from sluice.base import queries
from sluice.base.settings import Settings
from sluice.reports import definitions
from sluice.reports.refresh import Refreshing
from sluice.reports.statements import table, temporary
from tests.loading import Connection

_TOTALS = "SELECT events, sales, revenue, zone FROM report.last_refresh"
_KEEP = "CREATE TEMPORARY TABLE {kept} ON COMMIT DROP AS TABLE {table}"
_DIFFER = """
    (SELECT 'kept up' AS source, one::text AS row FROM (TABLE {kept} EXCEPT ALL TABLE {table}) AS one LIMIT 5)
    UNION ALL
    (SELECT 'anew', one::text FROM (TABLE {table} EXCEPT ALL TABLE {kept}) AS one LIMIT 5)
"""
Differences = dict[str, list[tuple[str, str]]]


def differences(owner: Connection, settings: Settings) -> Differences:
    """By table or view, rows that differ when all is counted from nothing, and in which of the two they are.

    That count is undone. The reports must have been refreshed with ``settings`` since anything changed.
    """
    reports = definitions.read()
    found: Differences = {}
    with owner.transaction(force_rollback=True), owner.cursor(row_factory=dict_row) as cursor:
        cursor.execute(queries.compose("refresh.begin"))
        names = {report.name: {"kept": temporary(report.name, "kept"), "table": table(report)} for report in reports}
        for parts in names.values():
            cursor.execute(sql.SQL(_KEEP).format(**parts))
        totals = cursor.execute(_TOTALS).fetchall()
        Refreshing(cursor, settings, reports).run("counted-anew", anew=True)
        for name, parts in names.items():
            if rows := cursor.execute(sql.SQL(_DIFFER).format(**parts)).fetchall():
                found[name] = [(row["source"], row["row"][:400]) for row in rows]
        if (now := cursor.execute(_TOTALS).fetchall()) != totals:
            found["last_refresh"] = [("kept up", str(totals)), ("anew", str(now))]
    return found


# Nothing of the reports' own: neither their cells nor their words.
_TOLD = """
    WITH told AS (
        SELECT
            contract AS feed,
            CASE
                WHEN length(extra ->> 'currency') = 3 THEN upper(extra ->> 'currency')
                ELSE coalesce(%(currencies)s::jsonb ->> contract, '')
            END AS currency,
            events.*,
            event_time AT TIME ZONE %(zone)s AS at,
            event_type IN ('purchase', 'cancellation') AND NOT %(unsold)s::jsonb ? contract AS is_sale,
            event_type = 'purchase' AND NOT %(unsold)s::jsonb ? contract AS is_bought,
            coalesce(
                total_amount, price * coalesce(quantity, CASE event_type WHEN 'purchase' THEN 1 ELSE -1 END), 0
            ) AS worth
        FROM events
        JOIN ledger.files USING (file_id)
    )
"""
_FIGURES = {
    "feed, currency, hour, buyers, revenue FROM report.revenue_by_hour": """
        SELECT feed, currency, event_time - (at - date_trunc('hour', at)),
            count(DISTINCT user_id) FILTER (WHERE is_bought), sum(worth)
        FROM told WHERE is_sale GROUP BY 1, 2, 3
    """,
    "feed, currency, day, purchases, buyers FROM report.sales_by_day": """
        SELECT feed, currency, at::date, sum(is_bought::int), count(DISTINCT user_id) FILTER (WHERE is_bought)
        FROM told WHERE is_sale GROUP BY 1, 2, 3
    """,
    "feed, sessions, viewed, carted, bought FROM report.funnel": """
        SELECT feed, count(*), sum(v::int), sum(c::int), sum(b::int)
        FROM (
            SELECT feed, bool_or(event_type = 'product_view') AS v, bool_or(event_type = 'add_to_cart') AS c,
                bool_or(is_bought) AS b
            FROM told WHERE session_id <> '' GROUP BY feed, session_id
        ) AS one
        GROUP BY feed
    """,
    "feed, day, new_customers FROM report.customers_by_day WHERE new_customers > 0": """
        SELECT feed, first, count(*)
        FROM (
            SELECT feed, min(at)::date AS first FROM told WHERE is_bought AND user_id <> '' GROUP BY feed, user_id
        ) AS one
        GROUP BY feed, first
    """,
    "feed, session_id, started_at, ended_at, events, purchases, revenue FROM report.sessions": """
        SELECT feed, session_id, min(event_time), max(event_time), count(*), sum(is_bought::int),
            coalesce(sum(worth) FILTER (WHERE is_sale), 0)
        FROM told WHERE session_id <> '' GROUP BY feed, session_id
    """,
    "feed, currency, product_id, category, lowest_price, first_seen, last_seen, buyers FROM report.products": """
        SELECT feed, currency, product_id, max(category), min(price), min(event_time), max(event_time),
            count(DISTINCT user_id) FILTER (WHERE is_bought)
        FROM told WHERE product_id <> '' GROUP BY 1, 2, 3
    """,
    "feed, search_query, searches, users FROM report.searches_without_result": """
        SELECT feed, lower(trim(search_query)), count(*), count(DISTINCT user_id)
        FROM told WHERE event_type = 'search' AND search_results_count = 0 AND search_query <> '' GROUP BY 1, 2
    """,
    "feed, currency, day, orders FROM report.orders_by_day": """
        SELECT feed, currency, first, count(*)
        FROM (
            SELECT feed, currency, min(at)::date AS first
            FROM told WHERE is_bought
            GROUP BY feed, currency, session_id, CASE WHEN session_id IS NULL THEN user_id || at::date END,
                CASE WHEN session_id IS NULL AND user_id IS NULL THEN event_id END
        ) AS one
        GROUP BY feed, currency, first
    """,
}


def oracle_differences(
    owner: Connection, zone: str, currencies: Mapping[str, str], without_sales: Collection[str]
) -> Differences:
    """By what is asked of a report, rows that it has and should not have, or lacks; texts of events are never empty.

    ``currencies`` and ``without_sales`` are by feed; every event must be there yet.
    """
    values = {"zone": zone, "currencies": json.dumps({**currencies}), "unsold": json.dumps(sorted(without_sales))}
    found: Differences = {}
    for asked, counted in _FIGURES.items():
        query: Any = f"""
            {_TOLD}, counted AS ({counted}), reported AS (SELECT {asked})
            (SELECT 'report' AS source, one::text AS row FROM (TABLE reported EXCEPT ALL TABLE counted) AS one)
            UNION ALL
            (SELECT 'events', one::text FROM (TABLE counted EXCEPT ALL TABLE reported) AS one)
        """
        if rows := owner.execute(query, values).fetchall():
            found[asked] = [(row["source"], row["row"]) for row in rows]
    return found
