"""From events to the bytes of a CSV file: the columns' text, the dirt, and the rows that are sent twice.

Every row is put together by arrow, column by column; a damaged row differs in the one column that its damage names.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sluice.base.settings import SettingError
from sluice.generator import arrow
from sluice.generator.shop import MOST_OF_ONE_PRODUCT, TWO_LINE_PHRASE, Shop, open_shop
from sluice.generator.traffic import EVENT_TYPES, HOUR, Events, late_visits, visits
from sluice.generator.types import Flags, Ints

HEADER = (
    "event_id,event_type,user_id,product_id,category,price,timestamp,session_id,ip_address,user_agent,"
    "search_query,search_results_count,quantity,total_amount,payment_method"
)
COLUMNS = HEADER.split(",")

# Damage: the column that it hits, and the text that stands there instead. Each is one that a strict reader must reject.
DIRT: dict[str, tuple[str, tuple[bytes, ...]]] = {
    "bad_timestamp": ("timestamp", (b"2026-02-30T10:00:00Z", b"22.11.2026 18:42", b"T10:00", b"yesterday")),
    "price_in_words": ("price", (b"abc", b"EUR 12.50", b"n/a")),
    "price_with_comma": ("price", (b'"12,50"', b'"1.299,00"')),
    "negative_quantity": ("quantity", (b"-1", b"-3")),
    "unknown_event_type": ("event_type", (b"page_load", b"refund")),
    "missing_event_id": ("event_id", (b"",)),
    "invalid_utf8": ("user_agent", (b"ShopApp/4.2 (Caf\xe9)", b"Mozilla/5.0 (\xff\xfe)")),
    "field_missing": ("line_end", (b"",)),
    "field_too_many": ("line_end", (b",,0", b",,credit_card")),
}
CHUNK_ROWS = 100_000
TAIL_ROWS = 1_000
LATE_HOURS = (2, 72)


@dataclass(frozen=True)
class Shares:
    """Which parts of a file's rows are damaged, late, or copies of earlier rows; no row is two of these."""

    dirty: float = 0.0
    late: float = 0.0
    repeated: float = 0.0

    def __post_init__(self) -> None:
        given = (self.dirty, self.late, self.repeated)
        if min(given) < 0 or sum(given) > 1 + 1e-9:
            raise SettingError(
                f"the shares of dirty ({self.dirty:g}), late ({self.late:g}) and repeated ({self.repeated:g}) rows "
                "must each be 0 or more and add up to at most 1: lower SLUICE_GENERATE_DIRTY_SHARE, "
                "SLUICE_GENERATE_LATE_SHARE or SLUICE_GENERATE_REPEAT_SHARE"
            )


@dataclass(frozen=True)
class Plan:
    """What a file is to hold. Equal plans make equal bytes."""

    rows: int
    shares: Shares
    seed: str
    window: tuple[int, int]  # sessions end in here; milliseconds since 1970 (UTC)
    tail: tuple[bytes, ...] = ()  # rows of the file before, to be repeated
    ordered_ids: bool = False  # by time (uuid 7); otherwise random (uuid 4)


@dataclass(frozen=True)
class Chunk:
    """Lines of a file (without header), what is special about them, and the rows that the next chunk may repeat."""

    lines: memoryview
    rows: int
    late: int
    repeated: int
    dirty: Counter[str] = field(default_factory=Counter)
    tail: tuple[bytes, ...] = ()


def chunks(plan: Plan) -> Iterator[Chunk]:
    """The file's rows in pieces of at most CHUNK_ROWS, so that memory does not grow with the file."""
    for start in range(0, plan.rows, CHUNK_ROWS):
        chunk = _chunk(plan, start, min(start + CHUNK_ROWS, plan.rows))
        plan = replace(plan, tail=chunk.tail or plan.tail)
        yield chunk


def _chunk(plan: Plan, start: int, stop: int) -> Chunk:
    shop, rng = open_shop(), _rng(plan, start)
    dirty, late, repeated = (
        _rounded(share * stop) - _rounded(share * start)
        for share in (plan.shares.dirty, plan.shares.late, plan.shares.repeated)
    )
    rows = stop - start
    late = min(late, rows - dirty)
    repeated = min(repeated, rows - dirty - late)
    if rows - dirty - repeated == 0 and not plan.tail:
        repeated = 0  # nothing is there that could be repeated
    events, is_late = _arrivals(rng, shop, plan, (start / plan.rows, stop / plan.rows), rows - repeated, late)
    damage = _damage(rng, np.flatnonzero(~is_late), len(events), dirty, _rounded(plan.shares.dirty * start))
    events = _one_line_each(shop, events, damage >= 0)
    lines = _lines(rng, shop, events, damage, ordered_ids=plan.ordered_ids)
    clean = np.flatnonzero(damage < 0)
    return Chunk(
        lines=_bytes_of(_with_copies(rng, lines, clean, repeated, plan.tail)),
        rows=rows,
        late=late,
        repeated=repeated,
        dirty=_tally(damage),
        tail=_tail(shop, lines, events, clean),
    )


def _rng(plan: Plan, start: int) -> np.random.Generator:
    """Random numbers that the seed, the time and the place in the file decide: no two batches share an event id."""
    name = f"{plan.seed}|{plan.window[1]}|{start}".encode()
    return np.random.default_rng(int.from_bytes(hashlib.sha256(name).digest()))


def _rounded(value: float) -> int:
    """Rounded half up, and blind to the last digits of a float: chunks add up to the rounded whole."""
    return int(value + 0.5 + 1e-9)


def _arrivals(
    rng: np.random.Generator, shop: Shop, plan: Plan, part: tuple[float, float], rows: int, late: int
) -> tuple[Events, Flags]:
    """``rows`` events in the order in which they arrive, and which of them (``late`` in number) are late."""
    fresh = visits(rng, shop, rows - late, window=plan.window, part=part)
    shortest, longest = (plan.window[0] - hours * HOUR for hours in LATE_HOURS)
    delayed = late_visits(rng, visits(rng, shop, late, window=plan.window, part=part), (longest, shortest))
    order = np.argsort(np.concatenate([fresh.arrival, delayed.arrival]), kind="stable")
    return fresh.joined(delayed).take(order), order >= len(fresh)


def _damage(rng: np.random.Generator, candidates: Ints, size: int, count: int, first: int) -> Ints:
    """For each of ``size`` rows the number of its damage, or -1; the kinds take turns, beginning with the ``first``."""
    damage = np.full(size, -1, dtype=np.int64)
    chosen = rng.choice(candidates, size=count, replace=False)
    damage[chosen] = (first + np.arange(count)) % len(DIRT)
    return damage


def _tally(damage: Ints) -> Counter[str]:
    counts = np.bincount(damage[damage >= 0], minlength=len(DIRT))
    return Counter({kind: int(count) for kind, count in zip(DIRT, counts, strict=True)})


def _spans_two_lines(shop: Shop, events: Events) -> Flags:
    found = (events.phrase >= 0) & (events.phrase < shop.first_vain_phrase)
    of_two: Flags = found & (events.phrase % (TWO_LINE_PHRASE + 1) == TWO_LINE_PHRASE)
    return of_two


def _one_line_each(shop: Shop, events: Events, where: Flags) -> Events:
    """The events, those of ``where`` with a phrase of one line, so that a damaged row never reaches into the next."""
    hit = where & _spans_two_lines(shop, events)
    return replace(events, phrase=np.where(hit, events.phrase - TWO_LINE_PHRASE, events.phrase))


def _lines(rng: np.random.Generator, shop: Shop, events: Events, damage: Ints, *, ordered_ids: bool) -> pa.Array:
    """The events as CSV lines without the line break."""
    texts = _texts(rng, shop, events)
    texts["event_id"] = _ordered_uuids(rng, events.arrival) if ordered_ids else _uuids(rng, len(events))
    for number, (column, instead) in enumerate(DIRT.values()):
        hit = damage == number
        if hit.any():
            picked = arrow.texts(instead).take(arrow.numbers(rng.integers(0, len(instead), len(events))))
            texts[column] = pc.if_else(arrow.flags(hit), picked, texts[column])
    joined = pc.binary_join_element_wise(*(texts[name] for name in COLUMNS[:-1]), _COMMA)
    return pc.binary_join_element_wise(joined, texts["line_end"], _NOTHING)


def _texts(rng: np.random.Generator, shop: Shop, events: Events) -> dict[str, pa.Array]:
    """One array of CSV fields per column but the id; the last one brings its comma along, as ``line_end``."""
    category = np.where(events.product >= 0, shop.category_of[events.product], -1)
    total = np.where(events.payment >= 0, events.product * MOST_OF_ONE_PRODUCT + events.quantity - 1, -1)
    sessions = _uuids(rng, int(events.session.max(initial=-1)) + 1)
    return {
        "event_type": _TYPES.take(arrow.numbers(events.step)),
        "user_id": shop.user_ids.take(arrow.numbers(events.user)),
        "product_id": _pick(shop.product_ids, events.product),
        "category": _pick(shop.categories, category),
        "price": _pick(shop.prices, events.product),
        "timestamp": _timestamps(events.time),
        "session_id": sessions.take(arrow.numbers(events.session)),
        "ip_address": shop.ip_addresses.take(arrow.numbers(events.device)),
        "user_agent": shop.agents.take(arrow.numbers(shop.agent_of_device[events.device])),
        "search_query": _pick(shop.phrases, events.phrase),
        "search_results_count": _pick(shop.results_of_phrase, events.phrase),
        "quantity": _pick(_QUANTITIES, events.quantity - (events.quantity > 0)),
        "total_amount": _pick(shop.totals, total),
        "line_end": pc.binary_join_element_wise(_NOTHING, _pick(shop.payment_methods, events.payment), _COMMA),
    }


_TYPES = arrow.texts([name.encode() for name in EVENT_TYPES])
_QUANTITIES = arrow.texts([str(count).encode() for count in range(1, MOST_OF_ONE_PRODUCT + 1)])
_NOTHING, _COMMA, _ZONE, _LINE_BREAK = (arrow.text(value) for value in (b"", b",", b"Z", b"\n"))
_HEX = np.frombuffer(b"".join(f"{byte:02x}".encode() for byte in range(256)), np.uint8).reshape(256, 2)
_DASHES = (8, 13, 18, 23)


def _pick(texts: pa.Array, index: Ints) -> pa.Array:
    """The ``texts`` at ``index``; an empty field at -1."""
    picked = texts.take(arrow.numbers(index))
    return pc.fill_null(picked, _NOTHING)


def _timestamps(time: Ints) -> pa.Array:
    """ISO 8601 in UTC, with milliseconds and zone: 2026-11-22T18:42:04.123Z."""
    texts = arrow.numbers(time).cast(pa.timestamp("ms")).cast(pa.string())
    with_t = pc.utf8_replace_slice(texts, 10, 11, "T")
    return pc.binary_join_element_wise(with_t.cast(pa.binary()), _ZONE, _NOTHING)


def _uuids(rng: np.random.Generator, size: int) -> pa.Array:
    """Random uuids (version 4) as text."""
    raw = np.frombuffer(rng.bytes(16 * size), np.uint8).reshape(size, 16).copy()
    return _uuid_texts(raw, version=4)


def _ordered_uuids(rng: np.random.Generator, moments: Ints) -> pa.Array:
    """Uuids (version 7) as text: each begins with its moment (milliseconds since 1970), ``moments`` being in order.

    Those of one millisecond count on in the 12 bits behind it, up to the last of these.
    """
    raw = np.frombuffer(rng.bytes(16 * len(moments)), np.uint8).reshape(len(moments), 16).copy()
    raw[:, :6] = moments.astype(">u8").view(np.uint8).reshape(-1, 8)[:, 2:]
    count = np.arange(len(moments)) - np.searchsorted(moments, moments)
    raw[:, 6:8] = count.clip(max=0xFFF).astype(">u2").view(np.uint8).reshape(-1, 2)
    return _uuid_texts(raw, version=7)


def _uuid_texts(raw: npt.NDArray[np.uint8], version: int) -> pa.Array:
    """Rows of 16 bytes as text; ``version`` and variant are written over their bits."""
    raw[:, 6] = raw[:, 6] & 0x0F | version << 4
    raw[:, 8] = raw[:, 8] & 0x3F | 0x80
    text = np.full((len(raw), 36), ord("-"), dtype=np.uint8)
    text[:, [place for place in range(36) if place not in _DASHES]] = _HEX[raw].reshape(len(raw), 32)
    return arrow.joined_texts(text, np.full(len(raw), 36))


def _with_copies(
    rng: np.random.Generator, lines: pa.Array, clean: Ints, count: int, tail: tuple[bytes, ...]
) -> pa.Array:
    """The lines with ``count`` exact copies put in between: half of the tail's rows if there is one, half of these.

    A copy of a row of this file stands somewhere behind it.
    """
    of_tail = (count if not len(clean) else count // 2) if tail else 0
    places = np.arange(len(lines), dtype=np.float64)
    own = rng.choice(clean, count - of_tail, replace=count - of_tail > len(clean)) if count > of_tail else clean[:0]
    earlier = rng.choice(len(tail), of_tail, replace=of_tail > len(tail)) if of_tail else clean[:0]
    index = np.concatenate([np.arange(len(lines)), own, earlier + len(lines)])
    keys = np.concatenate([places, rng.uniform(own, len(lines)), rng.uniform(0, len(lines), of_tail)])
    everything = pa.concat_arrays([lines, arrow.texts(tail)])
    return everything.take(arrow.numbers(index[np.argsort(keys, kind="stable")]))


def _tail(shop: Shop, lines: pa.Array, events: Events, clean: Ints) -> tuple[bytes, ...]:
    """The last clean rows of one line each, for a later file to repeat."""
    whole = clean[~_spans_two_lines(shop, events)[clean]][-TAIL_ROWS:]
    return tuple(lines.take(arrow.numbers(whole)).to_pylist())


def _bytes_of(lines: pa.Array) -> memoryview:
    """The lines, each ended by a line break, as one piece of memory that arrow has put in a row already."""
    ended = pc.binary_join_element_wise(lines, _LINE_BREAK, _NOTHING)
    offsets = np.frombuffer(ended.buffers()[1], np.int32)
    return memoryview(ended.buffers()[2])[: int(offsets[len(ended)])]
