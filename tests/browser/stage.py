"""A shop that has been running for a while, for pages to show: files of every state, rejects, a stream, reports."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sluice.base import database
from sluice.base.settings import Settings
from sluice.generator.files import write_file
from sluice.generator.records import Shares
from sluice.landing import folders, mover
from sluice.ledger import leases
from sluice.loading.load_file import FileLoader
from sluice.reports import refresh
from tests.loading import Connection, event, event_id, table

FILES, ROWS = 12, 400
RUN = "scheduled__2026-11-30T00:00:00+00:00"
DIRTY = Shares(0.02, 0.02, 0.01)
# What a page must show as text.
NASTY_NAMES = ("<script>document.title='taken'<!--.csv", "na\u202eme\n2.csv")
SCRIPT = "<img src=x onerror=\"document.title='taken'\">"
NASTY_ROWS = (
    event(900_001, note=SCRIPT),
    event(900_002, price="<b>free</b>"),
    event(900_003, price="=1+1"),
    event(900_004, price="\u202e99.9\u202c"),
    event(900_005, price="x" * 100_000),
    "only,three,fields",
)
NASTY_PRODUCT = f"={SCRIPT}"
NASTY_SEARCH = "<b>maria mustermann</b>"
_BATCH = """
    INSERT INTO ledger.batches (
        epoch, batch, committed_at, files, rows_read, rows_loaded, rows_rejected, rows_duplicate, duration_ms,
        durations, backlog_files
    )
    VALUES (%s, %s, now() - %s * interval '10 seconds', 1, 400, 390, 8, 2, %s, %s, 0)
"""
# As if each file of the shop had been loaded on a day of its own.
_SET_ASIDE = """
    UPDATE ledger.rejects SET rejected_at = rejected_at - (%s - file_id) * interval '1 day' WHERE file_id <= %s
"""


def lived_in(settings: Settings) -> int:
    """Fill the empty database and folders of ``settings``; the epoch of the stream, which lives for an hour."""
    for folder in (settings.incoming_dir, settings.processing_dir, settings.archive_dir):
        folder.mkdir(parents=True, exist_ok=True)
    with database.connect(settings.database_url) as connection:
        folders.check(settings, connection)
        epoch = _stream(connection)
        _land(settings)
        _load(settings, connection, epoch)
        _batches(connection, epoch)
        connection.execute(_SET_ASIDE, [FILES, FILES])
        refresh.refresh(connection, settings, "stage")
    return epoch


def _stream(connection: Connection) -> int:
    lease = leases.take(connection, submitted_by=f"{RUN} on stage", run_id=RUN, seconds=3600)
    assert lease is not None
    return leases.begin(connection, token=lease.token, host="stage", pid=1, seconds=3600)


def _land(settings: Settings) -> None:
    now = datetime.now(UTC)
    for number in range(FILES):
        path = settings.incoming_dir / f"shop-{number:03d}.csv"
        ends = now - timedelta(days=FILES - number)
        write_file(path, rows=ROWS, shares=DIRTY, seed=path.stem, now=ends)
    (settings.incoming_dir / "shop-again.csv").write_bytes((settings.incoming_dir / "shop-000.csv").read_bytes())
    (settings.incoming_dir / NASTY_NAMES[0]).write_text(table(*NASTY_ROWS, event(900_010)))
    (settings.incoming_dir / NASTY_NAMES[1]).write_text(table(event(900_011)))
    (settings.incoming_dir / "packed.csv.gz").write_bytes(gzip.compress(table(event(900_012)).encode()))
    (settings.incoming_dir / "not-a-feed.csv").write_text("a,b\n1,2\n")
    (settings.incoming_dir / "nasty-shop.csv").write_text(table(*_nasty_shop(now - timedelta(days=1))))


def _nasty_shop(at: datetime) -> list[str]:
    """A purchase and a search in vain, often enough to head the lists of a shop."""
    quoted, when = NASTY_PRODUCT.replace('"', '""'), at.isoformat()
    sale = f'{event_id(900_100)},purchase,u1,"{quoted}",toys,7999.99,{when},s900,,,,,1,7999.99,paypal'
    searches = [
        f"{event_id(number)},search,u1,,,,{when},s900,,,{NASTY_SEARCH},0,,," for number in range(900_101, 900_121)
    ]
    return [sale, *searches]


def _load(settings: Settings, connection: Connection, epoch: int) -> None:
    mover.move_landed(replace(settings, settle_seconds=0), connection)  # nobody writes to them any more
    loader = FileLoader(settings, epoch)
    for row in connection.execute(
        "SELECT file_id FROM ledger.files WHERE state = 'landed' ORDER BY file_id"
    ).fetchall():
        loader.load(row["file_id"])
    loader.close()


def _batches(connection: Connection, epoch: int) -> None:
    for batch in range(60):
        phases = {"triggerExecution": 900 + batch, "addBatch": 700 + batch, "queryPlanning": 40, "walCommit": 20}
        connection.execute(_BATCH, [epoch, batch, 60 - batch, 900 + batch, json.dumps(phases)])
