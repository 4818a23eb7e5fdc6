"""Fills events with days of the generator's shop, by statements of PostgreSQL's own, in files of 1,000 rows.

Twelve days as the generator makes them are laid one after another into the past: sessions and ids are new each time,
half of the users and products are others every few weeks. So there are as many events a day whatever their number, and
customers of years among them: what a user did grows with the time.
"""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from bench import scale_fill
from bench.peers.base import COLUMNS
from sluice.base import database
from sluice.generator.files import write_file

ROWS_OF_A_FILE = 1_000
DAYS = 12
ROWS_OF_A_DAY = 41_000
PIECE = DAYS * ROWS_OF_A_DAY  # rows of a transaction
# Half of the users are others after so many pieces, half of the products after so many.
PIECES_OF_USERS, PIECES_OF_PRODUCTS = 3, 8
_CHUNK = 1 << 20

_GENERATED = f"""
    CREATE UNLOGGED TABLE public.generated ({", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())})
"""
_COPY = "COPY public.generated FROM STDIN (FORMAT csv, HEADER)"
# Row 0 is the last one.
_TEMPLATE = """
    CREATE UNLOGGED TABLE public.filling AS
    SELECT row_number() OVER (ORDER BY timestamp DESC, event_id) - 1 AS row, generated.* FROM public.generated;
    DROP TABLE public.generated;
    ANALYZE public.filling;
"""
_FILES = """
    INSERT INTO ledger.files (
        name, path, sha256, bytes, contract, contract_version, state, rows_read, rows_loaded, rows_rejected,
        rows_duplicate, landed_at, moved_at, loaded_at, sealed_at, first_event_time, last_event_time, merged_at
    )
    SELECT
        'filled-' || %(piece)s || '-' || file || '.csv', '', encode(sha256(gen_random_uuid()::text::bytea), 'hex'),
        264 * rows, 'events', '1.0.0', 'loaded', rows, rows, 0, 0, ends, ends, ends, ends, begins, ends, ends
    FROM (
        SELECT
            row / %(of_file)s AS file,
            count(*) AS rows,
            min(timestamp) - %(before)s AS begins,
            max(timestamp) - %(before)s AS ends
        FROM public.filling
        WHERE row < %(rows)s
        GROUP BY 1
    ) AS of_file
    ORDER BY file DESC
    RETURNING file_id
"""
_EVENTS = """
    INSERT INTO public.events (
        event_id, event_type, event_time, user_id, product_id, category, price, session_id, ip_address, user_agent,
        search_query, search_results_count, quantity, total_amount, payment_method, file_id, record_number
    )
    SELECT
        gen_random_uuid(),
        event_type,
        timestamp - %(before)s,
        CASE WHEN right(user_id, 1) < '5' THEN user_id ELSE user_id || %(of_users)s END,
        CASE WHEN right(product_id, 1) < '5' THEN product_id ELSE product_id || %(of_products)s END,
        category,
        price,
        md5(session_id || %(piece)s)::uuid::text,
        ip_address,
        user_agent,
        search_query,
        search_results_count,
        quantity,
        total_amount,
        payment_method,
        (%(file_ids)s::bigint[])[(%(rows)s - 1) / %(of_file)s + 1 - row / %(of_file)s],
        %(of_file)s - row %% %(of_file)s
    FROM public.filling
    WHERE row < %(rows)s
    ORDER BY row DESC
"""


def fill(url: str, rows: int, last_day: date) -> None:
    """So many rows into an empty database: whole files, the last of them at the end of ``last_day`` (UTC)."""
    ends = datetime(last_day.year, last_day.month, last_day.day, tzinfo=UTC) + timedelta(days=1)
    _make_template(url, ends)
    pieces = range(-(-rows // PIECE))
    with database.connect(url) as connection:
        for day in range(len(pieces) * DAYS + 2):
            connection.execute(scale_fill.MAKE_MONTH, [last_day - timedelta(days=day), "month"])
    # Oldest first, as they would have been loaded.
    with ThreadPoolExecutor(scale_fill.TASKS) as pool:
        list(pool.map(lambda piece: _fill_piece(url, piece, min(PIECE, rows - piece * PIECE)), reversed(pieces)))
        list(pool.map(lambda month: scale_fill.tidy(url, month), scale_fill.partitions(url)))
    scale_fill.tidy(url, "files", schema="ledger")


def _make_template(url: str, ends: datetime) -> None:
    with tempfile.TemporaryDirectory() as folder, database.connect(url) as connection:
        path = Path(folder) / "days.csv"
        write_file(path, rows=PIECE, seed="days", now=ends, span=timedelta(days=DAYS))
        connection.execute(_GENERATED)  # type: ignore[call-overload]
        with path.open("rb") as file, connection.cursor() as cursor, cursor.copy(_COPY) as copy:
            while chunk := file.read(_CHUNK):
                copy.write(chunk)
        connection.execute(_TEMPLATE)


def _fill_piece(url: str, piece: int, rows: int) -> None:
    """The last ``rows`` rows of the twelve days, so many times twelve days before; in one transaction."""
    values: dict[str, Any] = {
        "piece": f"{piece}",
        "rows": rows,
        "of_file": ROWS_OF_A_FILE,
        "before": timedelta(days=piece * DAYS),
        "of_users": _suffix(piece // PIECES_OF_USERS),
        "of_products": _suffix(piece // PIECES_OF_PRODUCTS),
    }
    with database.connect(url, autocommit=False) as connection:
        connection.execute("SET LOCAL synchronous_commit = off")
        file_ids = [row["file_id"] for row in connection.execute(_FILES, values)]
        connection.execute(_EVENTS, values | {"file_ids": file_ids})


def _suffix(before: int) -> str:
    """What tells the users of an earlier time from those of now."""
    return f"-{before}" if before else ""
