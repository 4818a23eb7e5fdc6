"""The columns of table events: their names and types stand here, and nowhere else in Python.

A new one needs a migration that adds it to the table and to the receipt's digest, and a line here: what reads a
contract, judges, loads and compares rows follows. A test holds them together and names what lacks it.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

# The columns of table events that a feed may fill, and how the judge must hand each to PostgreSQL.
EVENT_COLUMNS = {
    "event_id": "uuid",
    "event_type": "text",
    "event_time": "timestamptz",
    "user_id": "text",
    "product_id": "text",
    "category": "text",
    "price": "numeric",
    "session_id": "text",
    "ip_address": "text",
    "user_agent": "text",
    "search_query": "text",
    "search_results_count": "bigint",
    "quantity": "bigint",
    "total_amount": "numeric",
    "payment_method": "text",
}
MUST_BE_FILLED = ("event_id", "event_type", "event_time")
# What a cancellation carries with a sign; reports count it as it stands.
SIGNED = ("quantity", "total_amount")
# What the feed says besides, as jsonb, and where a row stands: these follow EVENT_COLUMNS, in this order.
EXTRA = "extra"
PLACE = ("file_id", "record_number")
# What two rows of one event_id may differ in.
CONTENT = (*(name for name in EVENT_COLUMNS if name != "event_id"), EXTRA)


def same_content(one: str, other: str, *, whenever: bool = False) -> sql.Composed:
    """SQL that is true when the rows of the tables ``one`` and ``other`` say the same, and false otherwise.

    ``whenever``: their moments may differ, being those at which their files landed.
    """
    names = [name for name in CONTENT if not (whenever and name == "event_time")]
    return sql.SQL("(({}) IS NOT DISTINCT FROM ({}))").format(_content(one, names), _content(other, names))


def _content(table: str, names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(table, name) for name in names)
