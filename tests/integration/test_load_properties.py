"""Any mixture of good, bad, repeated and broken rows, however lines end, compressed or not: all are accounted for."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sluice.base.settings import Settings
from sluice.proof.reconcile import reconcile
from tests.loading import HEADER, Connection, event, event_id

# What a line of each kind becomes: loaded, rejected, or whatever the rows before it make of it.
KINDS: dict[str, Callable[[int], bytes]] = {
    "good": lambda n: event(n).encode(),
    "quoted": lambda n: event(n, note='"a ""b"", c\nd"').encode(),
    "unicode": lambda n: event(n, note="œ☃🛒").encode(),
    "bad price": lambda n: event(n, price="1.23456").encode(),
    "bad kind": lambda n: event(n, kind="teleport").encode(),
    "too wide": lambda n: event(n).encode() + b",x",
    "cut": lambda n: event(n).encode()[:60],
    "invalid": lambda n: event(n, note="@").encode().replace(b"@", b"\xff\xfe"),
    "nul": lambda n: event(n, note="@").encode().replace(b"@", b"\0"),
    "unclosed": lambda n: event(n, note='"never').encode(),
    "other content": lambda n: event(n, price="7.5").encode(),
}
OF_ANOTHER_WIDTH, WITHOUT_WIDTH = {"too wide", "cut"}, {"unclosed"}
REJECTED = {"bad price", "bad kind", "too wide", "cut", "invalid", "nul", "unclosed"}


@dataclass
class Expected:
    """What must become of the rows, worked out without the pipeline's code."""

    state: str = "loaded"
    loaded: int = 0
    rejected: int = 0
    duplicate: int = 0


def expected(rows: list[tuple[str, int]]) -> Expected:
    kinds = {kind for kind, _ in rows}
    if kinds & OF_ANOTHER_WIDTH and kinds <= OF_ANOTHER_WIDTH | WITHOUT_WIDTH:
        return Expected("rejected")
    seen: dict[int, bytes] = {}
    found = Expected()
    for kind, number in rows:
        line = KINDS[kind](number)
        if kind in REJECTED:
            found.rejected += 1
        elif seen.setdefault(number, line) is line:
            found.loaded += 1
        elif seen[number] == line:
            found.duplicate += 1
        else:
            found.rejected += 1
    return found


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    rows=st.lists(st.tuples(st.sampled_from(sorted(KINDS)), st.integers(0, 30)), max_size=25),
    end=st.sampled_from([b"\n", b"\r\n", b"\r"]),
    last_end=st.booleans(),
    compressed=st.sampled_from(["", ".gz", ".zst"]),
    chunk=st.sampled_from([100, 1 << 20]),
)
def test_every_row_is_loaded_or_rejected_or_a_duplicate_and_every_reject_is_in_the_file_at_its_line(
    property_loader: Callable[[bytes, str, int], tuple[int, Settings]],
    connection: Connection,
    rows: list[tuple[str, int]],
    end: bytes,
    last_end: bool,
    compressed: str,
    chunk: int,
) -> None:
    text = end.join([HEADER.encode(), *(KINDS[kind](number) for kind, number in rows)]) + (end if last_end else b"")
    data = {"": lambda: text, ".gz": lambda: gzip.compress(text), ".zst": lambda: bytes(pa.compress(text, "zstd"))}[
        compressed
    ]()
    file_id, used = property_loader(data, f"shop.csv{compressed}", chunk)
    want = expected(rows)
    tally = connection.execute("SELECT * FROM ledger.files WHERE file_id = %s", [file_id]).fetchone()
    assert tally is not None
    assert tally["state"] == want.state, tally["error"]
    if want.state == "rejected":
        assert "no record has as many fields as the header" in tally["error"]
        assert reconcile(used, used.reader_dsn).holds
        return
    assert (tally["rows_read"], tally["rows_loaded"], tally["rows_rejected"], tally["rows_duplicate"]) == (
        len(rows),
        want.loaded,
        want.rejected,
        want.duplicate,
    )
    for reject in connection.execute("SELECT * FROM ledger.rejects WHERE file_id = %s", [file_id]):
        lines_before = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")[: reject["line_number"] - 1]
        raw = bytes(reject["raw"]).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        assert (
            text.replace(b"\r\n", b"\n")
            .replace(b"\r", b"\n")
            .startswith(raw, sum(len(line) + 1 for line in lines_before))
        )
    loaded = connection.execute(
        "SELECT event_id::text, user_agent FROM events WHERE file_id = %s", [file_id]
    ).fetchall()
    kinds = {event_id(number): kind for kind, number in rows if kind not in REJECTED}
    assert {row["event_id"] for row in loaded} == set(kinds)
    assert reconcile(used, used.reader_dsn).holds
