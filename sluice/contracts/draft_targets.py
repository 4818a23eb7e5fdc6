"""Guesses which column of events each column of a file is, by its name and by what its values are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sluice.contracts.event_columns import EVENT_COLUMNS
from sluice.contracts.model import can_be_described
from sluice.contracts.profile import Profile
from sluice.contracts.profiling.columns import ColumnProfile
from sluice.contracts.profiling.nearly_all import are_nearly_all

EVENT_TYPES_MOST = 20
# Names that columns of events go by in other shops, English and German, letters and digits only.
_SYNONYMS = {
    "event_id": "eventid eventuuid uuid guid messageid",
    "event_time": "eventtime timestamp time datetime date occurredat createdat eventdate eventtimestamp ts invoicedate "
    "orderdate purchasedate servertime at zeitpunkt zeitstempel datum zeit bestelldatum",
    "event_type": "eventtype event eventname type action activity aktion ereignis",
    "user_id": "userid user customerid customer clientid visitorid visitor memberid accountid shopperid kundennr "
    "kundennummer kundenid kunde",
    "product_id": "productid product sku itemid item stockcode articleid asin upc ean artikelnr artikelnummer "
    "artikelid artikel produktid produkt",
    "category": "category categorycode categoryname productcategory department kategorie warengruppe",
    "price": "price unitprice itemprice productprice preis einzelpreis stckpreis stueckpreis",
    "session_id": "sessionid session usersession visitid sessionuuid",
    "ip_address": "ipaddress ip clientip remoteaddr remoteip",
    "user_agent": "useragent browser agent ua",
    "search_query": "searchquery query searchterm searchphrase keyword keywords suchbegriff",
    "search_results_count": "searchresultscount resultscount results hits",
    "quantity": "quantity qty units menge anzahl",
    "total_amount": "totalamount total amount ordertotal linetotal revenue totalprice gesamtbetrag "
    "gesamtpreis gesamt betrag summe umsatz",
    "payment_method": "paymentmethod payment paymenttype paymethod zahlart zahlungsart zahlungsmittel",
}
# A number since 1970 in such a unit, times the factor, is microseconds.
_UNITS = ((1_000_000, "seconds"), (1_000, "milliseconds"), (1, "microseconds"))
_MICROSECONDS = range(10**15, 10**16)


@dataclass(frozen=True)
class TimeSource:
    """The column that says when a row happened: as a moment, or as a number of ``unit`` since 1970."""

    column: ColumnProfile
    factor: int | None = None
    unit: str = ""

    @property
    def is_date_only(self) -> bool:
        """Whether it says the day and no more."""
        return self.column.moments is not None and self.column.moments.is_date_only


def plain_name(name: str) -> str:
    """The name as synonyms are written: small letters and digits only."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def describable(column: ColumnProfile) -> bool:
    """Whether a contract can describe the column; the others go to extra by themselves."""
    return can_be_described(column.name) and "\0" not in column.name


def targets_of(sample: Profile, times: list[TimeSource]) -> dict[str, str]:
    """By column name: the column of events that it most likely is. ``times`` are the sources of a time, best first."""
    chosen: dict[str, str] = {}
    if times and times[0].factor is None:
        chosen[times[0].column.name] = "event_time"
    for target, synonyms in _SYNONYMS.items():
        ranked = [target.replace("_", ""), *synonyms.split()]
        fitting = [c for c in sample.columns if _is_named(c, ranked) and c.name not in chosen and _fits(c, target)]
        # Of the feed's own ids, with the moment of arrival, one row in two files would be two events.
        if fitting and target != "event_time" and (times or target != "event_id"):
            chosen[min(fitting, key=lambda column: ranked.index(plain_name(column.name))).name] = target
    return chosen


def time_sources(sample: Profile) -> list[TimeSource]:
    """The columns that may say when a row happened, the likeliest first.

    First are those that nearly every row has, of them those with a name that is usual for it, of them those that say
    more than the day.
    """
    ranked = ["eventtime", *_SYNONYMS["event_time"].split()]

    def unlikeliness(source: TimeSource) -> tuple[bool, bool, bool, int]:
        name = plain_name(source.column.name)
        rank = ranked.index(name) if name in ranked else len(ranked)
        return (source.column.null_share > 0.05, rank == len(ranked), source.is_date_only, rank)

    return sorted(_time_sources(sample), key=unlikeliness)


def _time_sources(sample: Profile) -> Iterator[TimeSource]:
    usual = {"eventtime", *_SYNONYMS["event_time"].split()}
    for column in filter(describable, sample.columns):
        is_named_so = column.is_named_like_a_time or plain_name(column.name) in usual
        if column.kind == "timestamp":
            yield TimeSource(column)
        elif column.kind == "integer" and column.misfits is None and is_named_so:
            numbers = [int(value) for value in column.counts if value.strip().isascii() and value.strip().isdigit()]
            for factor, unit in _UNITS:
                if len(numbers) == column.distinct and all(number * factor in _MICROSECONDS for number in numbers):
                    yield TimeSource(column, factor, unit)


def named_like(sample: Profile, target: str) -> list[ColumnProfile]:
    """The columns that by their names may be column ``target`` of events, whatever they hold."""
    names = [target.replace("_", ""), *_SYNONYMS[target].split()]
    return [column for column in sample.columns if _is_named(column, names)]


def _is_named(column: ColumnProfile, names: list[str]) -> bool:
    return plain_name(column.name) in names and describable(column)


def _fits(column: ColumnProfile, target: str) -> bool:
    kind, number = EVENT_COLUMNS[target], column.number
    if kind == "uuid":
        return column.is_uuid and column.is_unique
    if kind == "numeric":
        within = number.rows_within(16, 4) if number else 0
        return column.kind in ("integer", "number") and are_nearly_all(within, column.rows)
    if kind == "bigint":
        return (
            column.kind == "integer" and number is not None and are_nearly_all(number.rows_within(18, 0), column.rows)
        )
    if target == "event_type":
        return 0 < column.distinct <= EVENT_TYPES_MOST and column.null_share <= 0.05
    return True
