"""The columns of table events that a feed may fill: their names and types stand here, and nowhere else in Python."""

from __future__ import annotations

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
