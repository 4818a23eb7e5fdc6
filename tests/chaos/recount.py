"""Proves, record by record, that PostgreSQL holds exactly what landed: nothing lost, nothing doubled, nothing wrong.

An independent reader: it shares no code with the pipeline, only the meaning of contract ``events`` and of the ledger's
tables. It reads the landed bytes with the csv module, judges each record in plain Python, writes down the line that
``COPY events TO STDOUT`` must give for it, and compares that with the line that PostgreSQL gives.

It knows what lands in the harness: files with the header below in any compression but none, in UTF-8, without empty
texts in quotes (``""``, which the pipeline keeps as an empty text; here an empty field is NULL).

Memory: about 170 bytes a row of events, 350 a row that is lost; files are read record by record.
"""

from __future__ import annotations

import csv
import functools
import hashlib
import re
import uuid
from binascii import unhexlify
from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

HEADER = [
    "event_id",
    "event_type",
    "user_id",
    "product_id",
    "category",
    "price",
    "timestamp",
    "session_id",
    "ip_address",
    "user_agent",
    "search_query",
    "search_results_count",
    "quantity",
    "total_amount",
    "payment_method",
]
EVENT_TYPES = {"product_view", "search", "wishlist_add", "add_to_cart", "remove_from_cart", "purchase"}
FINDINGS_MAX = 50

# The order in which an expected line is written, too; what the contract does not know is in extra, so extra is NULL.
_COLUMNS = (
    "event_id, event_type, event_time, user_id, product_id, category, price, session_id, ip_address, user_agent, "
    "search_query, search_results_count, quantity, total_amount, payment_method, extra"
)
# In an order that no index gives: the rows are read from the table itself, whatever an index says after a crash.
_EVENTS = f"COPY (SELECT file_id, record_number, {_COLUMNS} FROM public.events ORDER BY 1, 2, 3) TO STDOUT"
_FILES = """
    SELECT
        file_id, name, sha256, bytes, state, duplicate_of, rows_read, rows_loaded, rows_rejected, rows_duplicate,
        rows_expired
    FROM ledger.files
    ORDER BY file_id
"""
_CUT = "SELECT coalesce(max(expired_before)::text, '') FROM ledger.retentions"
_REJECTS = "SELECT file_id, record_number, raw, error_class FROM ledger.rejects WHERE state = 'quarantined'"
_DUPLICATES = "SELECT file_id, record_number, concat_ws(E'\\t', event_id, '', event_time) FROM ledger.duplicates"

_RETURNED = re.compile(
    r"^(returned-\d+-)+"
)  # what the pipeline puts before a name that is taken when it returns a file
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32}", re.IGNORECASE)
_EARLIEST, _LATEST = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})"
)
_PRICE = re.compile(r"[0-9]{1,16}(\.[0-9]{1,4})?")
_COUNT = re.compile(r"[0-9]{1,18}")
_ESCAPED = re.compile(r"[\b\t\n\v\f\r\\]")
_ESCAPES = {"\b": r"\b", "\t": r"\t", "\n": r"\n", "\v": r"\v", "\f": r"\f", "\r": r"\r", "\\": "\\\\"}
_NULL = r"\N"
_NOWHERE = 0  # an event whose row stands at no record of that event

csv.field_size_limit(1 << 24)


@dataclass(frozen=True)
class Landing:
    """A file that landed as ``name``; ``path`` holds a copy of its bytes as they were then."""

    name: str
    path: Path


@dataclass
class Recount:
    """The result, in records and rows. ``findings`` are the first 50 of what is wrong, a sentence each."""

    files: int = 0
    sent: int = 0
    loaded: int = 0
    rejected: int = 0
    duplicate: int = 0
    expired: int = 0
    lost: int = 0
    doubled: int = 0
    wrong: int = 0
    findings: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether nothing is lost, doubled or wrong."""
        return self.lost == self.doubled == self.wrong == 0

    def as_dict(self) -> dict[str, Any]:
        """The counts and findings, for JSON."""
        return asdict(self)

    def find(self, column: str, sentence: str, rows: int = 1) -> None:
        """Count ``rows`` as lost, doubled or wrong."""
        setattr(self, column, getattr(self, column) + rows)
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(f"{column}: {sentence}")


class Record(NamedTuple):
    """One record of a file. ``number`` counts from 1 after the header, ``line`` from 1 with it; ``raw`` ends before
    the line end.

    ``expected`` is the line that COPY must give for it, as bytes; None when the record is damaged, as ``problem`` says.
    """

    number: int
    line: int
    raw: bytes
    expected: bytes | None
    problem: str

    @property
    def key(self) -> bytes:
        """The event's id, 16 bytes, and the month of its moment: an id is unique within a month."""
        assert self.expected is not None
        return _key(self.expected)

    def __str__(self) -> str:
        event = f", event {self.expected[:36].decode()}" if self.expected else ""
        return f"record {self.number:,} (line {self.line:,}{event})"


def recount(landings: Sequence[Landing], dsn: str, unloaded: Collection[str] = (), *, merged: bool = False) -> Recount:
    """Compare the landings with the database, in one snapshot of it.

    ``merged``: a merge has compared the ids of all months, so each is in one of them.
    ``unloaded`` are the names of those that were taken back on purpose: no row of theirs may be left.

    The pipeline should be at rest: what is not finished counts as lost. Raises ValueError for a landing whose header is
    not that of contract ``events``.
    """
    options = "-c timezone=UTC -c datestyle=ISO -c extra_float_digits=1 -c statement_timeout=0 -c work_mem=64MB"
    with psycopg.connect(dsn, client_encoding="utf8", options=options, application_name="recount") as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        return _Comparison(landings, connection, unloaded, merged=merged).run()


def records(path: Path) -> Iterator[Record]:
    """The records of a landed file, judged. Raises ValueError when its header is another one."""
    with open(path, "rb") as file:
        found = split_records(file)
        header = next(found, (1, b""))[1]
        if header.decode("utf-8", "backslashreplace").split(",") != HEADER:
            raise ValueError(f"{path}: its header is not that of contract events: land only such files here")
        for number, (line, raw) in enumerate(found, start=1):
            expected, problem = judge(raw)
            yield Record(number, line, raw, expected, problem)


def split_records(file: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """(line number, bytes without the line end) of each record, the header too; empty lines are none.

    A quoted field may go over several lines. When its quotes never fit, the record ends with its first line.
    """
    lines = _lines(file)
    waiting: deque[bytes] = deque()
    number = 0
    while (line := waiting.popleft() if waiting else next(lines, b"")) != b"":
        number += 1
        raw, more = line.rstrip(b"\r\n"), 0
        if b'"' in raw and _quoting(raw) == "open":
            raw, more = _joined(line, lines, waiting)
        if raw:
            yield number, raw
        number += more


def _lines(file: Iterable[bytes]) -> Iterator[bytes]:
    """Lines with their ends: LF, CRLF or CR."""
    for line in file:
        if b"\r" in line:
            yield from line.splitlines(keepends=True)
        else:
            yield line


def _joined(first: bytes, lines: Iterator[bytes], waiting: deque[bytes]) -> tuple[bytes, int]:
    """The record that begins with the line ``first``, whose last quote is open, and how many more lines it takes.

    Lines that were looked at in vain go back to ``waiting``.
    """
    taken = [first]
    quoting = "open"
    while quoting == "open" and (line := waiting.popleft() if waiting else next(lines, b"")):
        taken.append(line)
        if b'"' in line:
            quoting = _quoting(b"".join(taken).rstrip(b"\r\n"))
    if quoting == "whole":
        return b"".join(taken).rstrip(b"\r\n"), len(taken) - 1
    waiting.extendleft(reversed(taken[1:]))
    return first.rstrip(b"\r\n"), 0


def _quoting(raw: bytes) -> str:
    """Whether the quotes of a record fit (whole), the last one is not closed (open), or they never will (broken)."""
    try:
        next(csv.reader([raw.decode("latin-1")], strict=True))
    except csv.Error as error:
        return "open" if "unexpected end of data" in str(error) else "broken"
    return "whole"


def judge(raw: bytes) -> tuple[bytes | None, str]:
    """What COPY must give for a record (without file_id and record_number), or None and why it must be set aside."""
    try:
        return _expected(_fields(raw)), ""
    except _DamagedError as damaged:
        return None, str(damaged)


class _DamagedError(ValueError):
    """A record that must not be loaded."""


def _fields(raw: bytes) -> list[str]:
    try:
        text = raw.decode()
        fields = next(csv.reader([text], strict=True)) if '"' in text else text.split(",")
    except UnicodeDecodeError as error:
        raise _DamagedError(f"byte {error.start} is not UTF-8") from error
    except csv.Error as error:
        raise _DamagedError(f"its quotes do not fit ({error})") from error
    if "\0" in text:
        raise _DamagedError("it has a NUL byte")
    if len(fields) != len(HEADER):
        raise _DamagedError(f"it has {len(fields)} fields, not {len(HEADER)}")
    return fields


def _expected(fields: list[str]) -> bytes:
    (
        event_id,
        kind,
        user,
        product,
        category,
        price,
        time,
        session,
        ip,
        agent,
        query,
        results,
        quantity,
        total,
        paid,
    ) = fields
    event_id = event_id.strip(" ")
    if not _UUID.fullmatch(event_id):
        raise _DamagedError(f"event_id {event_id!r} is no uuid")
    if kind not in EVENT_TYPES:
        raise _DamagedError(f"event_type {kind!r} is unknown")
    values = (
        str(uuid.UUID(event_id)),
        kind,
        _moment(time.strip(" ")),
        _text(user),
        _text(product),
        _text(category),
        _amount(price),
        _text(session),
        _text(ip),
        _text(agent),
        _text(query),
        _count(results, 0),
        _count(quantity, 1),
        _amount(total),
        _text(paid),
        _NULL,
    )
    if kind == "purchase" and _NULL in (values[4], values[12], values[13]):
        raise _DamagedError("a purchase without product, quantity or total amount")
    return "\t".join(values).encode()


def _text(value: str) -> str:
    """As COPY writes a text; an empty field is NULL."""
    if _ESCAPED.search(value):
        return _ESCAPED.sub(lambda found: _ESCAPES[found.group()], value)
    return value or _NULL


def _moment(text: str) -> str:
    """As COPY writes a timestamptz in UTC."""
    if not _MOMENT.fullmatch(text):
        raise _DamagedError(f"timestamp {text!r} is not as RFC 3339 says")
    try:
        moment = datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise _DamagedError(f"timestamp {text!r} does not exist") from error
    if not _EARLIEST <= moment <= _LATEST:
        raise _DamagedError(f"timestamp {text!r} is not within the years 1 to 9999 in every zone")
    iso = moment.isoformat(" ")[:-6]
    return (iso.rstrip("0") if moment.microsecond else iso) + "+00"


@functools.lru_cache(maxsize=1 << 16)
def _amount(text: str) -> str:
    """As COPY writes a numeric(20, 4)."""
    text = text.strip(" ")
    if not text:
        return _NULL
    if not _PRICE.fullmatch(text):
        raise _DamagedError(f"amount {text!r} is no decimal of 0 or more")
    return f"{Decimal(text):.4f}"


@functools.lru_cache(maxsize=1 << 16)
def _count(text: str, least: int) -> str:
    """As COPY writes a bigint."""
    text = text.strip(" ")
    if not text:
        return _NULL
    if not _COUNT.fullmatch(text) or int(text) < least:
        raise _DamagedError(f"count {text!r} is no whole number of {least} or more")
    return str(int(text))


def _key(line: bytes) -> bytes:
    moment = line.index(b"\t", 37) + 1
    return unhexlify(line[:36].replace(b"-", b"")) + line[moment : moment + 7]


def _content(line: bytes) -> int:
    """8 bytes that stand for a row's values; never ``_NOWHERE``."""
    return hash(line) or 1


class _Row(NamedTuple):
    """A row of events; ``line`` is what COPY gives for it without file_id and record_number."""

    file_id: int
    number: int
    line: bytes

    def __str__(self) -> str:
        return f"record {self.number:,} (event {self.line[:36].decode()})"


class _File(NamedTuple):
    """A row of ledger.files."""

    file_id: int
    name: str
    sha256: str
    bytes: int
    state: str
    duplicate_of: int | None
    rows_read: int | None
    rows_loaded: int | None
    rows_rejected: int | None
    rows_duplicate: int | None
    rows_expired: int

    def __str__(self) -> str:
        return f"{self.name} (file {self.file_id})"


class _Reject(NamedTuple):
    raw: bytes
    error_class: str


class _Open(NamedTuple):
    """A record whose fate another file's rows decide, so it is looked up when all are read."""

    place: str
    key: bytes
    content: int
    fate: str  # duplicate, conflict, or none: neither loaded nor set aside nor noted


@dataclass
class _Content:
    """A landing, known by name and bytes."""

    landing: Landing
    sha256: str
    states: Counter[str] = field(default_factory=Counter)


class _Comparison:
    """One comparison of landings with a database."""

    def __init__(
        self,
        landings: Sequence[Landing],
        connection: psycopg.Connection[Any],
        unloaded: Collection[str],
        *,
        merged: bool,
    ) -> None:
        self._is_merged = merged
        self._connection = connection
        self._unloaded = unloaded
        self._found = Recount()
        self._known: dict[tuple[str, str], _Content] = {}
        for landing in landings:
            sha256 = _sha256(landing.path)
            self._known.setdefault((_base(landing.name), sha256), _Content(landing, sha256))
        self._held: dict[bytes, int] = {}  # hash of each event's row; _NOWHERE when it stands at another's record
        self._open: list[_Open] = []

    def run(self) -> Recount:
        """Make it."""
        found = self._found
        self._files = [_File(*row) for row in self._connection.execute(_FILES)]
        self._bytes_of: dict[int | None, str] = {file.file_id: file.sha256 for file in self._files}
        [(self._cut,)] = self._connection.execute(_CUT)
        self._rejects = self._read_rejects()
        self._duplicates = self._read_duplicates()
        found.rejected = sum(map(len, self._rejects.values()))
        with self._connection.cursor() as cursor, cursor.copy(_EVENTS) as copy:
            self._rows = _Rows(copy)
            for file in self._files:
                self._homeless("which the ledger does not know", below=file.file_id)
                self._compare_file(file)
            self._homeless("which the ledger does not know")
        found.loaded = self._rows.count
        if self._is_merged:
            self._compare_months()
        self._close_open()
        self._compare_landings()
        if found.holds and found.sent != found.loaded + found.expired + found.rejected + found.duplicate:
            found.find("wrong", "what was sent is not what was loaded, expired, rejected and duplicate together")
        return found

    def _read_rejects(self) -> dict[int, dict[int, _Reject]]:
        read: dict[int, dict[int, _Reject]] = {}
        for file_id, number, raw, error_class in self._connection.cursor(binary=True).execute(_REJECTS):
            read.setdefault(file_id, {})[number] = _Reject(bytes(raw), error_class)
        return read

    def _read_duplicates(self) -> dict[int, dict[int, str]]:
        read: dict[int, dict[int, str]] = {}
        for file_id, number, event in self._connection.execute(_DUPLICATES):
            read.setdefault(file_id, {})[number] = event
        return read

    def _compare_file(self, file: _File) -> None:
        content = self._known.get((_base(file.name), file.sha256))
        if content is not None:
            content.states[file.state] += 1
        if file.state == "loaded" and content is not None:
            self._compare_loaded(file, content)
            return
        if file.state == "loaded" or (content is None and not self._is_excused(file)):
            self._found.find("wrong", f"{file} is {file.state}, but no such file landed")
        if file.state in ("unloaded", "replaced") and _base(file.name) not in self._unloaded:
            self._found.find("wrong", f"{file} is {file.state}, but nobody asked for it")
        if file.state == "duplicate":
            self._check_original(file)
        self._homeless(f"{file.name}, which is {file.state}", below=file.file_id + 1)
        for table, rows in (("ledger.rejects", self._rejects), ("ledger.duplicates", self._duplicates)):
            if there := rows.pop(file.file_id, None):
                self._found.find(
                    "wrong", f"{file} is {file.state}, but {table} has {len(there):,} rows of it", len(there)
                )

    def _is_excused(self, file: _File) -> bool:
        """Whether a file was set aside because it went on changing, and landed again under its name."""
        return file.state == "rejected" and any(name == _base(file.name) for name, _ in self._known)

    def _check_original(self, file: _File) -> None:
        """A duplicate names another file of the same bytes."""
        if file.duplicate_of == file.file_id or self._bytes_of.get(file.duplicate_of) != file.sha256:
            self._found.find(
                "wrong",
                f"{file} is a duplicate of file {file.duplicate_of}, which is not another file of the same bytes",
            )

    def _compare_loaded(self, file: _File, content: _Content) -> None:
        """Every record of a loaded file, and every row that the tables have of it."""
        rejects = self._rejects.pop(file.file_id, {})
        duplicates = self._duplicates.pop(file.file_id, {})
        tally = (len(rejects), len(duplicates))
        rows_before = self._rows.count
        read = expired = 0
        for record in records(content.landing.path):
            read = record.number
            self._homeless(f"{file.name}, which has no such record", below=file.file_id, number=read)
            in_events = self._compare_rows(file, record)
            in_rejects = self._compare_reject(file, record, rejects.pop(read, None))
            in_duplicates = self._compare_duplicate(file, record, duplicates.pop(read, None))
            places = in_events + in_rejects + in_duplicates
            if places > 1:
                self._found.find("doubled", f"{file}, {record}: is in {places} places at once, should be in one")
            elif not places and self._has_expired(record):
                expired += 1
            elif not places:
                self._missing(file, record)
        self._homeless(f"{file.name}, which has {read:,} records", below=file.file_id + 1)
        for table, left in (("ledger.rejects", rejects), ("ledger.duplicates", duplicates)):
            for number in left:
                self._found.find("wrong", f"{file}: {table} has record {number:,}, but the file has {read:,}")
        if content.states["loaded"] == 1:
            self._found.sent += read
        self._found.expired += expired
        if expired != file.rows_expired:
            self._found.find(
                "wrong", f"{file}: the ledger says {file.rows_expired} rows expired, counted are {expired:,}"
            )
        self._compare_tally(file, content, (read, self._rows.count - rows_before + expired, *tally))

    def _has_expired(self, record: Record) -> bool:
        """Whether a good record is older than what is kept. The cut begins a month, in UTC as the line is."""
        if record.expected is None:
            return False
        moment = record.expected.split(b"\t", 3)[2]
        return moment[:19] < self._cut[:19].encode()

    def _compare_rows(self, file: _File, record: Record) -> bool:
        """Compare the rows of events at this record; whether there is one."""
        rows = 0
        while (row := self._rows.take(file.file_id, record.number)) is not None:
            rows += 1
            if rows > 1:
                self._found.find("doubled", f"{file}, {record}: events has it {rows} times")
            self._hold(file, row, record, already=rows > 1)
            if row.line != record.expected:
                self._found.find("wrong", f"{file}, {record}: {_difference(row, record)}")
        return rows > 0

    def _hold(self, file: _File, row: _Row, record: Record, *, already: bool) -> None:
        key = _key(row.line)
        is_own = record.expected is not None and record.key == key
        if key in self._held and not already:
            self._found.find("doubled", f"{file}, {row}: this event has another row in events")
        if is_own or key not in self._held:
            self._held[key] = _content(row.line) if is_own else _NOWHERE

    def _compare_reject(self, file: _File, record: Record, reject: _Reject | None) -> bool:
        """Compare the reject of this record; whether there is one."""
        if reject is None:
            return False
        if reject.raw != record.raw:
            self._found.find(
                "wrong", f"{file}, {record}: its reject has the bytes {reject.raw[:60]!r}, not {record.raw[:60]!r}"
            )
        if record.expected is not None and reject.error_class == "conflict":
            self._open.append(_Open(f"{file}, {record}", record.key, _content(record.expected), "conflict"))
        elif record.expected is not None and not self._has_expired(record):
            self._found.find("wrong", f"{file}, {record}: was rejected, though nothing is wrong with it")
        return True

    def _compare_duplicate(self, file: _File, record: Record, event: str | None) -> bool:
        """Note for later the record that is a duplicate; whether it is one."""
        if event is None:
            return False
        if record.expected is None or record.key != _key(event.encode()):
            which = f"event {event[:36]}"
            self._found.find("wrong", f"{file}, {record}: is noted as a duplicate of {which}, which it is not")
        elif self._has_expired(record):
            self._found.duplicate += 1
        else:
            self._open.append(_Open(f"{file}, {record}", record.key, _content(record.expected), "duplicate"))
        return True

    def _missing(self, file: _File, record: Record) -> None:
        if record.expected is None:
            self._found.find("lost", f"{file}, {record}: is not in ledger.rejects ({record.problem})")
        else:
            self._open.append(_Open(f"{file}, {record}", record.key, _content(record.expected), "none"))

    def _compare_tally(self, file: _File, content: _Content, counted: tuple[int, ...]) -> None:
        size = content.landing.path.stat().st_size
        if file.bytes != size:
            self._found.find("wrong", f"{file}: the ledger says {file.bytes:,} bytes, but {size:,} landed")
        said = (file.rows_read, file.rows_loaded, file.rows_rejected, file.rows_duplicate)
        for name, its, own in zip(("read", "loaded", "rejected", "duplicate"), said, counted, strict=True):
            if its != own:
                self._found.find("wrong", f"{file}: the ledger says {its} rows {name}, but counted are {own:,}")

    def _homeless(self, why: str, *, below: float = float("inf"), number: int = 0) -> None:
        """Rows of events before file ``below`` (before its record ``number``, when given) belong to no record."""
        while (row := self._rows.before(below, number)) is not None:
            if (key := _key(row.line)) in self._held:
                self._found.find("doubled", f"{row} of file {row.file_id}: this event has another row in events")
            self._held.setdefault(key, _NOWHERE)
            self._found.find("wrong", f"events has {row} of file {row.file_id}, {why}")

    def _compare_months(self) -> None:
        """An id is in one month."""
        for event, months in Counter(key[:16] for key in self._held).items():
            if months > 1:
                why = f"event {uuid.UUID(bytes=event)} is in {months} months, after a merge"
                self._found.find("doubled", why, months - 1)

    def _close_open(self) -> None:
        """Decide what the rows of other files decide."""
        ids = {key[:16] for key in self._held} if any(each.fate == "conflict" for each in self._open) else set()
        for place, key, content, fate in self._open:
            held = self._held.get(key, _NOWHERE)
            if fate == "conflict":
                # Other content is in its month, or, since a merge has compared them, in another one.
                # Or it had been, and has expired since.
                if held == content or (
                    held == _NOWHERE and not self._cut and (key in self._held or key[:16] not in ids)
                ):
                    self._found.find("wrong", f"{place}: was rejected as a conflict, but events has no other content")
                continue
            if held == content or (fate == "duplicate" and held != _NOWHERE):
                self._found.duplicate += 1
            else:
                self._found.find("lost", f"{place}: is not in events")
            if fate == "none" and held == content:
                self._found.find(
                    "wrong", f"{place}: is in events from an equal record, but is not noted as a duplicate"
                )
            if fate == "duplicate" and held not in (_NOWHERE, content):
                self._found.find("wrong", f"{place}: is noted as a duplicate, but the row in events has other values")

    def _compare_landings(self) -> None:
        """Every landing has its row in the ledger, and those that were not loaded were loaded as another."""
        loaded_bytes = {content.sha256 for content in self._known.values() if content.states["loaded"]}
        loaded_names = {name for (name, _), content in self._known.items() if content.states["loaded"]}
        for (name, sha256), content in self._known.items():
            states = content.states
            if states["rejected"] and sha256 not in loaded_bytes and name in loaded_names and not states["landed"]:
                continue  # it went on changing, and landed again as what was loaded
            self._found.files += 1
            if name in self._unloaded:
                self._check_unloaded(content)
                continue
            if states["loaded"]:
                continue
            rows = sum(1 for _ in records(content.landing.path))
            self._found.sent += rows
            if sha256 in loaded_bytes and states and not states["landed"]:
                self._found.duplicate += rows
            else:
                why = f"is only {', '.join(states)}" if states else "is not in the ledger"
                self._found.find("lost", f"{content.landing.name}: {why}, all {rows:,} records", rows)

    def _check_unloaded(self, content: _Content) -> None:
        """A file that was taken back on purpose is unloaded, once; ``_compare_file`` looks for rows of it."""
        if content.states != {"unloaded": 1}:
            states = ", ".join(content.states) or "not in the ledger"
            self._found.find("wrong", f"{content.landing.name}: was unloaded on purpose, but is {states}")


class _Rows:
    """The rows of events in the order of files and records; ``count`` of them were taken."""

    def __init__(self, copy: Iterable[Any]) -> None:
        self._rows = iter(copy)
        self.count = -1
        self._advance()

    def take(self, file_id: int, number: int) -> _Row | None:
        """The next row, when it is at this record of this file."""
        row = self._next
        if row is None or row.number != number or row.file_id != file_id:
            return None
        self._advance()
        return row

    def before(self, file_id: float, number: int) -> _Row | None:
        """The next row, when it stands before this file, or before this record of it."""
        row = self._next
        if row is None or row.file_id > file_id or (row.file_id == file_id and row.number >= number):
            return None
        self._advance()
        return row

    def _advance(self) -> None:
        self.count += 1
        self._next: _Row | None = None
        for data in self._rows:
            file_id, number, line = bytes(data).split(b"\t", 2)
            self._next = _Row(int(file_id), int(number), line[:-1])
            return


def _difference(row: _Row, record: Record) -> str:
    if record.expected is None:
        return f"is in events, though {record.problem}"
    there, sent = row.line.decode().split("\t"), record.expected.decode().split("\t")
    pairs = zip(_COLUMNS.split(", "), there, sent, strict=True)
    return "events has " + ", ".join(f"{name} {has}, not {was}" for name, has, was in pairs if has != was)


def _base(name: str) -> str:
    return _RETURNED.sub("", name)


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
