"""Fills events and the ledger by statements of their own, much faster than files can be loaded.

The rows are as wide as the generator's, their ids random, their files in the ledger with tallies that agree. The files
themselves were never there: they count as sealed.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from psycopg import sql

from sluice.base import database

Span = tuple[datetime, datetime]  # from when until before when, in UTC
ROWS_OF_A_FILE = 100
PIECE = 500_000  # rows of a transaction
TASKS = 2

FILES = """
    INSERT INTO ledger.files (
        name, path, sha256, bytes, contract, contract_version, state, rows_read, rows_loaded, rows_rejected,
        rows_duplicate, landed_at, moved_at, loaded_at, sealed_at, first_event_time, last_event_time, merged_at
    )
    SELECT
        'filled-' || one || '.csv', '', encode(sha256(gen_random_uuid()::text::bytea), 'hex'), 250 * %(of_file)s,
        'events', '1.0.0', 'loaded', rows, rows, 0, 0, %(begins)s, %(begins)s, %(begins)s, %(begins)s, %(begins)s,
        %(ends)s::timestamptz - interval '1 us', now()
    FROM generate_series(0, (%(rows)s - 1) / %(of_file)s) AS one
    CROSS JOIN LATERAL (SELECT least(%(of_file)s, %(rows)s - one * %(of_file)s) AS rows) AS share
    ORDER BY one
    RETURNING file_id
"""

# What the rows have in common with one another is made once.
TEMPLATE = f"""
    CREATE UNLOGGED TABLE IF NOT EXISTS public.filling AS
    SELECT
        row,
        (ARRAY['page_view', 'page_view', 'page_view', 'search', 'add_to_cart', 'purchase'])[1 + row % 6] AS event_type,
        'user_' || lpad((random() * 50000)::integer::text, 6, '0') AS user_id,
        'prod_' || lpad((random() * 5000)::integer::text, 5, '0') AS product_id,
        (ARRAY['Electronics', 'Books', 'Home & Garden', 'Sports', 'Toys'])[1 + row % 5] AS category,
        (random() * 500)::numeric(20, 4) AS price,
        'sess_' || substr(md5((row / 7)::text), 1, 16) AS session_id,
        '10.' || row % 250 || '.' || row / 250 % 250 || '.7' AS ip_address,
        'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36'
            AS user_agent,
        CASE WHEN row % 6 > 3 THEN 1 + row % 3 END AS quantity,
        CASE WHEN row % 6 = 5 THEN (random() * 900)::numeric(20, 4) END AS total_amount,
        CASE WHEN row % 6 = 5 THEN 'credit_card' END AS payment_method
    FROM generate_series(0, {PIECE - 1}) AS row
"""

EVENTS = """
    INSERT INTO public.events (
        event_id, event_type, user_id, product_id, category, price, event_time, session_id, ip_address, user_agent,
        quantity, total_amount, payment_method, file_id, record_number
    )
    SELECT
        gen_random_uuid(), event_type, user_id, product_id, category, price,
        %(begins)s::timestamptz + (%(ends)s::timestamptz - %(begins)s::timestamptz) * (row::float8 / %(rows)s),
        session_id, ip_address, user_agent, quantity, total_amount, payment_method,
        (%(file_ids)s::bigint[])[1 + row / %(of_file)s], 1 + row %% %(of_file)s
    FROM public.filling
    WHERE row < %(rows)s
"""

RECEIPTS = """
    UPDATE ledger.files
    SET receipt = made.receipt, receipt_version = 1, receipt_at = now()
    FROM (
        SELECT file_id, ledger.receipt_of(bit_xor(ledger.row_digest(present))) AS receipt
        FROM public.events AS present
        WHERE event_time >= %(begins)s AND event_time < %(ends)s
        GROUP BY file_id
    ) AS made
    WHERE files.file_id = made.file_id
"""

MAKE_MONTH = "SELECT FROM ledger.make_month(%s::date, %s)"


def months(now: datetime, count: int) -> list[Span]:
    """The last ``count`` months, of ``now`` the last; oldest first."""
    ends = [_month_after(now.astimezone(UTC))]
    for _ in range(count):
        ends.insert(0, (ends[0] - timedelta(days=1)).replace(day=1))
    return list(itertools.pairwise(ends))


def fill(url: str, shares: dict[Span, int], partition: str = "month") -> None:
    """So many rows more into each of these spans; every share a few transactions, several at once.

    ``partition`` is how much time a partition of events holds.
    """
    with database.connect(url) as connection:
        connection.execute(TEMPLATE)
        for begins, ends in shares:
            for day in range((ends - begins).days):
                connection.execute(MAKE_MONTH, [(begins + timedelta(days=day)).date(), partition])
    pieces = [(span, rows) for span, share in shares.items() for rows in _pieces(share)]
    with ThreadPoolExecutor(TASKS) as pool:
        list(pool.map(lambda piece: fill_piece(url, *piece), pieces))
        list(pool.map(lambda month: tidy(url, month), partitions(url)))
    tidy(url, "files", schema="ledger")


def fill_piece(url: str, span: Span, rows: int) -> None:
    """At most PIECE rows and the files that they are of, in one transaction, after a ``fill``."""
    values = {"begins": span[0], "ends": span[1], "rows": rows, "of_file": ROWS_OF_A_FILE}
    with database.connect(url, autocommit=False) as connection:
        connection.execute("SET LOCAL synchronous_commit = off")
        file_ids = [row["file_id"] for row in connection.execute(FILES, values)]
        connection.execute(EVENTS, values | {"file_ids": file_ids})


def make_receipts(url: str, span: Span) -> None:
    """Receipts of the files that are filled into the span, all at once."""
    with database.connect(url) as connection:
        connection.execute(RECEIPTS, {"begins": span[0], "ends": span[1]})
    tidy(url, "files", schema="ledger")


def partitions(url: str) -> list[str]:
    """The names of the parts of ``events``."""
    with database.connect(url) as connection:
        return [row["month"] for row in connection.execute("SELECT month FROM ledger.months()")]


def tidy(url: str, table: str, schema: str = "public") -> None:
    """What autovacuum would do at some time, and not while something is measured."""
    with database.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("VACUUM (FREEZE, ANALYZE) {}").format(sql.Identifier(schema, table)))


def _pieces(rows: int) -> Iterator[int]:
    while rows > 0:
        yield min(rows, PIECE)
        rows -= PIECE


def _month_after(moment: datetime) -> datetime:
    first = moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (first + timedelta(days=32)).replace(day=1)
