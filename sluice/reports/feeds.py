"""What a feed is to the reports: its currency, whether its purchases are sales, whether the shop's totals have it.

A feed is known by the name of its contract: no file is loaded without one.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import dict_row

from sluice.base import queries
from sluice.base.settings import SettingError, Settings

if TYPE_CHECKING:
    from sluice.contracts.model import Contract

Connection = psycopg.Connection[Any]
# The contract that the generator's files fit.
GENERATED = "events"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Feed:
    """A row of ``report.feeds``. ``currency`` is an ISO 4217 code, empty when the feed's contract does not say it."""

    feed: str
    currency: str = ""
    counts_sales: bool = True
    is_generated: bool = False
    is_of_shop: bool = True


def feeds(settings: Settings, connection: Connection) -> list[Feed]:
    """Every feed of which a file is loaded, or that a refresh knew before, as contracts and settings say it now.

    A feed whose contract cannot be read, or is gone, keeps its currency and whether its sales count.

    Raises psycopg.Error.
    """
    with connection.cursor(row_factory=dict_row) as cursor:
        known = {row["feed"]: Feed(**row) for row in queries.all(cursor, "report_feeds.known")}
        loaded = {row["feed"] for row in queries.all(cursor, "report_feeds.loaded")}
    contracts = _contracts(settings)
    names = sorted({*known, *loaded})
    of_shop = _of_shop(settings, names, loaded)
    _tell_of_nobodys(settings, {*names, *contracts})
    return [_feed(name, contracts.get(name), known.get(name), is_of_shop=name in of_shop) for name in names]


def write(connection: Connection, feeds: Sequence[Feed]) -> set[str]:
    """Keep ``feeds`` in ``report.feeds``; the names of those whose currency, or whether their sales count, changed.

    What the reports hold of these is to be counted anew; of a feed that is new they hold nothing. Raises psycopg.Error.
    """
    columns = {field.name: [getattr(feed, field.name) for feed in feeds] for field in fields(Feed)}
    with connection.cursor(row_factory=dict_row) as cursor:
        return {row["feed"] for row in queries.all(cursor, "report_feeds.write", **columns)}


def refuse_unknown_zone(settings: Settings, connection: Connection) -> None:
    """Raises SettingError when the server has not heard of the shop's time zone; the transaction goes on."""
    try:
        with connection.transaction():
            queries.row(connection, "report_feeds.try_zone", zone=settings.shop_zone)
    except psycopg.errors.InvalidParameterValue as error:
        raise SettingError(
            f"SLUICE_SHOP_ZONE={settings.shop_zone!r} is unknown to this PostgreSQL server: write another name of the "
            "zone, or renew the server's time zones"
        ) from error


def _contracts(settings: Settings) -> dict[str, Contract]:
    """By name the contracts that can be read."""
    # What reading contracts needs takes long to import, and DAG files import this module.
    from sluice.contracts.folder import read_contracts

    return {contract.name: contract for contract in read_contracts(settings.contracts_dir).usable}


def _of_shop(settings: Settings, names: Collection[str], loaded: Collection[str]) -> set[str]:
    """Those that the user named; else all but the generator's, which stands for the shop while it has no other."""
    if settings.shop_feed_names:
        return {*settings.shop_feed_names}
    return {*names} - {GENERATED} if {*loaded} - {GENERATED} else {*names}


def _tell_of_nobodys(settings: Settings, there: Collection[str]) -> None:
    for name in settings.shop_feed_names:
        if name not in there:
            _log.warning("SLUICE_SHOP_FEEDS names %r, which is no contract: the shop's totals lack it", name)


def _feed(name: str, contract: Contract | None, before: Feed | None, *, is_of_shop: bool) -> Feed:
    standing = before or Feed(name)
    return Feed(
        feed=name,
        currency=contract.report_currency if contract else standing.currency,
        counts_sales=contract.counts_sales if contract else standing.counts_sales,
        is_generated=name == GENERATED,
        is_of_shop=is_of_shop,
    )
