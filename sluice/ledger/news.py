"""News: what became of files, micro-batches and reports, noted for those who tell somebody outside of it.

A teller asks once; from then on the database's own triggers note what is new for it in ``ledger.untold``, in the
transaction that makes it. Who tells deletes what it has told, and only then: what it told and could not delete, it
tells again.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from sluice.base import queries
from sluice.base.settings import Settings
from sluice.ledger import ages

_log = logging.getLogger(__name__)

Connection = psycopg.Connection[dict[str, Any]]

LOADED, REJECTED, CHANGED, WITHDRAWN, BATCH, REFRESHED = (
    "loaded",
    "rejected",
    "changed",
    "withdrawn",
    "batch",
    "refreshed",
)


@dataclass(frozen=True)
class News:
    """One thing that happened at ``at``: ``kind`` is one of the words above, ``details`` what was so at that moment.

    ``file_id`` is that of the file which it is about, None when it is about none; ``news_id`` is its own for ever.
    """

    untold_id: int
    news_id: str
    kind: str
    at: datetime
    file_id: int | None
    details: dict[str, Any]


def ask(connection: Connection, teller: str, wants: Iterable[str]) -> None:
    """From now on, news of these kinds are noted for ``teller``; also says that it is still there."""
    queries.run(connection, "ledger/news.ask", teller=teller, wants=sorted(wants))


def hold(connection: Connection, teller: str) -> bool:
    """Whether nobody else tells for ``teller``: then nobody can, until the connection ends."""
    return bool(queries.row(connection, "ledger/news.hold", teller=teller)["alone"])


def untold(connection: Connection, teller: str, most: int, *, after: int = 0) -> list[News]:
    """The oldest news that ``teller`` has not told, at most so many, of those after number ``after``."""
    rows = queries.all(connection, "ledger/news.untold", teller=teller, most=most, after=after)
    return [
        News(row["untold_id"], row["news_id"], row["news"], row["at"], row["file_id"], row["details"]) for row in rows
    ]


def told(connection: Connection, teller: str, untold_ids: Iterable[int]) -> None:
    """These are told."""
    queries.run(connection, "ledger/news.told", teller=teller, untold_ids=list(untold_ids))


def fold(connection: Connection, into: News, details: dict[str, Any]) -> None:
    """``into`` stands for others of the same teller as well, as a batch with these ``details``."""
    queries.run(connection, "ledger/news.fold", untold_id=into.untold_id, details=json.dumps(details))


def files(connection: Connection, news: Iterable[News]) -> dict[int, dict[str, Any]]:
    """What the ledger knows now of the files that ``news`` are about, by file_id."""
    file_ids = sorted({each.file_id for each in news if each.file_id is not None})
    return {row["file_id"]: row for row in queries.all(connection, "ledger/news.files", file_ids=file_ids)}


def trim(settings: Settings, connection: Connection, *, now: datetime | None = None) -> int:
    """Forget tellers that were not seen for ``keep_batches_days``, and news that old; return how many news."""
    cutoff = ages.cutoff(connection, settings.keep_batches_days * ages.DAY, now)
    for row in queries.all(connection, "ledger/news.forget_tellers", cutoff=cutoff):
        _log.info("%s has told nobody anything since %s: nothing is noted for it any more", row["teller"], cutoff)
    deleted = queries.run(connection, "ledger/news.forget_untold", cutoff=cutoff)
    if deleted:
        _log.warning("%s news from before %s, or of nobody, are forgotten: nobody was told of them", deleted, cutoff)
    return deleted
