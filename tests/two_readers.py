"""The loader's reader and the recount's over the same bytes: they must agree, and account for every byte of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

from sluice.proof.second_reader import landed as landed_for_the_recount
from sluice.proof.second_reader.fields import Field
from sluice.proof.second_reader.layout import Layout as SecondLayout
from sluice.proof.second_reader.reader import Reading, Record, read
from sluice.reading import csv_records, quote_proof
from sluice.reading.block import BrokenRecord
from sluice.reading.csv_records import RecordReader
from sluice.reading.dialect import Dialect
from sluice.reading.landed_bytes import LandedBytes
from sluice.reading.layout import Layout

PLAIN = Layout()
_TOO_FEW, _TOO_MANY, _TOO_LONG = "record.too_few_fields", "record.too_many_fields", "record.too_long"
_NOT_APART = {"record.bad_quote", "record.invalid_bytes"}
_MARKS = [b"\xef\xbb\xbf", b"\xff\xfe\0\0", b"\0\0\xfe\xff", b"\xff\xfe", b"\xfe\xff"]


@dataclass(frozen=True)
class Cuts:
    """How much each reader looks at together: chunks of the file, windows of the proof and of the scan."""

    chunk: int = 1 << 20
    window: int = 2 << 20
    near: int = 64 * 1024
    slow_run: int = 64
    second_chunk: int = 7


@dataclass(frozen=True)
class Found:
    """What the loader's reader found: of each record (line, raw bytes, values), or the broken record."""

    header: list[str] | None
    records: dict[int, tuple[int, bytes, list[str | None]] | BrokenRecord]
    strays: int
    footer: int
    dialect: Dialect

    @property
    def broken(self) -> dict[int, BrokenRecord]:
        """Those that are set aside."""
        return {number: found for number, found in self.records.items() if isinstance(found, BrokenRecord)}


def by_the_loader(
    path: Path, dialect: Dialect, layout: Layout, *, width: int, longest: int, cuts: Cuts, name: str = "x.csv"
) -> Found:
    """As a file is loaded, whose byte order mark wins. ``width`` is of files that do not name their columns."""
    with (
        LandedBytes(path, name) as landed,
        mock.patch.object(quote_proof, "_WINDOW", cuts.window),
        mock.patch.object(quote_proof, "_NEAR", cuts.near),
        mock.patch.object(csv_records, "_FIRST_WINDOW", cuts.window),
        mock.patch.object(csv_records, "_SLOW_RUN", cuts.slow_run),
    ):
        used = replace(dialect, encoding=landed.marked_encoding or dialect.encoding)
        reader = RecordReader(landed, used, layout, chunk_bytes=cuts.chunk, record_bytes_max=longest)
        header, found, strays = reader.header(), dict[int, Any](), 0
        for block in reader.blocks(len(header) or width) if header is not None else ():
            for row, values in enumerate(block.columns.to_pylist()):
                number = int(block.record_numbers[row])
                assert number not in found
                found[number] = (int(block.line_numbers[row]), block.raw(row), list(values.values()))
            strays += len(block.stray_quotes)
            for broken in block.broken:
                assert broken.record_number not in found
                found[broken.record_number] = broken
    return Found(header, dict(sorted(found.items())), strays, reader.footer_records, used)


def assert_they_agree(
    folder: Path,
    data: bytes,
    dialect: Dialect,
    layout: Layout = PLAIN,
    *,
    name: str = "x.csv",
    width: int = 2,
    longest: int = 1 << 20,
    cuts: Cuts = Cuts(),
) -> Reading:
    """The same count, and of each record the same number, line, bytes, values and problem; no byte of ``data`` lost.

    A file whose header the loader cannot read is refused; of it nothing is said.
    """
    path = folder / name
    path.write_bytes(data)
    second = SecondLayout(**layout.marks)
    with mock.patch.object(landed_for_the_recount, "CHUNK", cuts.second_chunk):
        ours = read(path, name, dialect, range(1_000_000), record_bytes_max=longest, layout=second)
    theirs = by_the_loader(path, dialect, layout, width=width, longest=longest, cuts=cuts, name=name)
    if theirs.header is None:
        return ours
    assert ours.records == len(theirs.records)
    assert list(ours.wanted) == list(theirs.records) == list(range(1, ours.records + 1))
    for number, found in theirs.records.items():
        _alike(ours.wanted[number], found, len(theirs.header) or width, dialect)
    if name.endswith(".csv"):
        _assert_no_byte_is_lost(data, theirs, layout, list(ours.wanted.values()))
    return ours


def _alike(
    record: Record, found: tuple[int, bytes, list[str | None]] | BrokenRecord, width: int, dialect: Dialect
) -> None:
    rule = found.rule if isinstance(found, BrokenRecord) else ""
    line, raw = (found.line_number, found.raw) if isinstance(found, BrokenRecord) else found[:2]
    assert record.line == line
    assert (rule == _TOO_LONG) == record.is_cut
    if record.is_cut:  # of which each reader keeps as much as it has in hand
        assert max(raw, record.raw).startswith(min(raw, record.raw))
        return
    assert record.raw == raw
    if record.fields is None:
        assert rule, "a row of which the second reader cannot tell the fields apart"
        return
    assert rule not in _NOT_APART, "the second reader tells the fields apart"
    there = len(record.fields)
    assert (rule == _TOO_FEW, rule == _TOO_MANY) == (there < width, there > width)
    values = [value_of(field, dialect) for field in record.fields]
    if isinstance(found, BrokenRecord):
        assert found.fields == values[: width + 100]
        assert rule != "record.nul_byte"
    else:
        assert found[2] == values
    if rule == "record.stray_quote":
        assert any(dialect.quote in field.written and not field.was_quoted for field in record.fields)


def value_of(field: Field, dialect: Dialect) -> str | None:
    """What a field stands for."""
    return None if not field.was_quoted and field.written in dialect.nulls else field.text


def encoded(text: str, encoding: str) -> bytes:
    """``text`` without a byte order mark, and without the letters that the encoding lacks."""
    little = f"{encoding}-le" if encoding in ("utf-16", "utf-32") else encoding
    return text.encode(little, "surrogatepass" if encoding.startswith("utf") else "ignore")


# --- every byte is in a record, or in a line that is none


def lines_of(data: bytes, encoding: str) -> Iterator[tuple[bytes, bytes]]:
    """(content, line end) of each line, as ``encoding`` has them: the plainest way to find them."""
    size = {"utf-16": 2, "utf-32": 4}.get(encoding[:6], 1)
    lf, cr = ("\n".encode(encoding), "\r".encode(encoding))
    units = [data[i : i + size] for i in range(0, len(data), size)]
    content, at = b"", 0
    while at < len(units):
        end = next((end for end in ([cr, lf], [cr], [lf]) if units[at : at + len(end)] == end), None)
        if end is None:
            content, at = content + units[at], at + 1
            continue
        yield content, b"".join(end)
        content, at = b"", at + len(end)
    if content:
        yield content, b""


def _assert_no_byte_is_lost(data: bytes, found: Found, layout: Layout, records: list[Record]) -> None:
    """The records' bytes stand in the file where they say, one after the other, and between them lines that are none:
    above the first what the layout says, below the last the footer; empty lines and comments."""
    mark = next((mark for mark in _MARKS if data.startswith(mark)), b"")
    encoding = found.dialect.encoding
    encoding = f"{encoding}-le" if encoding in ("utf-16", "utf-32") else encoding
    lines = list(lines_of(data[len(mark) :], encoding))
    comment = found.dialect.comment.encode(encoding) if found.dialect.comment else None
    is_none = [not content or (comment is not None and content.startswith(comment)) for content, _ in lines]
    after = 0  # the lines before this one are accounted for
    for i, record in enumerate(records):
        at = record.line - 1
        assert after <= at < len(lines), "a record stands on a line of the one before"
        if i == 0:
            _assert_above(lines[:at], is_none, layout, found.header or [])
        else:
            assert all(is_none[after:at]), "a line between two records is in none of them"
        after = at + _lines_of_record(lines[at:], record)
    if not records:
        return
    left = [line for line, none in zip(lines[after:], is_none[after:], strict=True) if not none]
    assert bool(left) == bool(found.footer), "lines after the last record are in no record, nor in the footer"
    if left:
        assert layout.footer is not None
        beginnings = [b"".join(content + end for content, end in left[:n]) + left[n][0] for n in range(len(left))]
        texts = [beginning.decode(encoding, "backslashreplace") for beginning in beginnings]
        assert any(re.match(layout.footer, text, re.DOTALL) for text in texts), "the footer does not begin as it must"
        assert found.footer <= len(left)


def _assert_above(above: list[tuple[bytes, bytes]], is_none: list[bool], layout: Layout, header: list[str]) -> None:
    names_separator = (
        layout.skip_lines == 0
        and bool(above)
        and re.fullmatch(b'"?sep=.{1,4}"?', above[0][0].replace(b"\0", b""), re.I | re.S)
    )
    for skipped in {layout.skip_lines, 1} if names_separator else {layout.skip_lines}:
        left = sum(not none for none in is_none[skipped : len(above)])
        if layout.header == "first" and left >= layout.header_lines:  # its quoted names may have lines of their own
            return
        if left == (layout.header_lines if layout.header == "ignore" else 0):
            return
    raise AssertionError(f"{above} stand above the first record, under {layout}")


def _lines_of_record(lines: list[tuple[bytes, bytes]], record: Record) -> int:
    """How many of ``lines``, at the first of which it begins, a record takes."""
    if record.is_cut:
        assert lines[0][0].startswith(record.raw)
        return 1
    taken = b""
    for count, (content, end) in enumerate(lines, start=1):
        for piece in (content, end):
            if len(taken) < len(record.raw):
                taken += piece
        if len(taken) >= len(record.raw):
            # Of CRLF an escape character takes the CR along, and the LF ends the record.
            assert taken.startswith(record.raw)
            assert taken[len(record.raw) :] in (b"", end[len(end) // 2 :])
            return count
    raise AssertionError("a record is longer than the rest of the file")
