"""The bytes of one record, read again from its file as the loader read them, within bounds of bytes and time."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from sluice.base.settings import Settings
from sluice.ledger import archive
from sluice.reading.block import Block
from sluice.reading.csv_records import RecordReader
from sluice.reading.dialect import Dialect
from sluice.reading.landed_bytes import LandedBytes, UnreadableFileError
from sluice.reading.layout import Layout
from sluice.reading.transcoding import without_mark

READ_MOST = 64 << 20
SHOWN_MOST = 64 << 10
SECONDS = 4.0
_CHUNK = 1 << 20
# "trimmed": housekeeping deleted the bytes, when all was proven. "far": the record lies too deep in its file.
# "unmarked": the file was loaded before it was noted how files are read.
Outcome = Literal["found", "trimmed", "gone", "changed", "far", "unmarked", "damaged", "none"]


class _FarError(Exception):
    """The record lies beyond what may be read."""


class _ChangedError(Exception):
    """The file's bytes are not those that were registered."""


class _Bounded:
    """The first bytes of a stream."""

    def __init__(self, landed: LandedBytes, most: int, seconds: float) -> None:
        self._landed = landed
        self._left = most
        self._until = time.monotonic() + seconds

    def read(self, size: int, /) -> bytes:
        """Up to ``size`` bytes. Raises _FarError when no more may be read."""
        data = self._landed.read(size)
        self._left -= len(data)
        if data and (self._left < 0 or time.monotonic() > self._until):
            raise _FarError
        return data


class _Found(NamedTuple):
    line: int
    raw: bytes
    is_cut: bool = False


def read(
    settings: Settings, file: Mapping[str, Any], number: int, *, most: int = READ_MOST, seconds: float = SECONDS
) -> dict[str, Any]:
    """Record ``number`` of ``file``, a row of ledger.files: the outcome; when found its line, size, text and bytes."""
    if file["sealed_at"] is not None:
        return {"outcome": "trimmed"}
    if file["read_as"] is None or file["header"] is None:
        return {"outcome": "unmarked"}
    path = archive.where(settings.home_dir, file["path"])
    outcome: Outcome = "none"
    try:
        if not file["path"] or path.lstat().st_size != file["bytes"]:
            return {"outcome": "changed" if file["path"] else "gone"}
        found = _sought(path, file, number, most, seconds)
    except FileNotFoundError:
        found, outcome = None, "gone"
    except _FarError:
        found, outcome = None, "far"
    except _ChangedError:
        found, outcome = None, "changed"
    except (OSError, UnreadableFileError):
        found, outcome = None, "damaged"
    if found is None:
        return {"outcome": outcome, "read_most": most}
    return {"outcome": "found", "line": found.line, **_shown(found, file)}


def _sought(path: Path, file: Mapping[str, Any], number: int, most: int, seconds: float) -> _Found | None:
    read_as: dict[str, Any] = file["read_as"]
    dialect = Dialect(**_said(read_as, Dialect) | {"encoding": _encoding(file)}, stray_quote="warn")
    with LandedBytes(path, file["name"]) as landed:
        reader = RecordReader(
            _Bounded(landed, most, seconds),
            dialect,
            Layout(**_said(read_as, Layout)),
            chunk_bytes=_CHUNK,
            record_bytes_max=read_as["record_bytes_max"],
        )
        reader.header()
        passed = 0
        for block in reader.blocks(len(file["header"])):
            if found := _in_block(block, number):
                # A file that is read in a moment is read to its end: then its bytes are proven.
                if file["bytes"] <= most and landed.digest() != (file["bytes"], file["sha256"]):
                    raise _ChangedError
                return found
            passed += block.records
            if passed >= number:
                return None
    return None


def _in_block(block: Block, number: int) -> _Found | None:
    for row in np.flatnonzero(block.record_numbers == number):
        return _Found(int(block.line_numbers[row]), block.raw(int(row)))
    for one in block.broken:
        if one.record_number == number:
            return _Found(one.line_number, one.raw, is_cut=one.rule == "record.too_long")
    return None


def _shown(found: _Found, file: Mapping[str, Any]) -> dict[str, Any]:
    shown = found.raw[:SHOWN_MOST]
    return {
        "bytes": None if found.is_cut else len(found.raw),
        "text": shown.decode(without_mark(_encoding(file)), "backslashreplace"),
        "hex": shown.hex(),
        "is_cut": found.is_cut or len(found.raw) > len(shown),
    }


def _encoding(file: Mapping[str, Any]) -> str:
    return str(file["marked_encoding"] or file["read_as"]["encoding"])


def _said(read_as: Mapping[str, Any], kind: type[Dialect] | type[Layout]) -> dict[str, Any]:
    return {each.name: read_as[each.name] for each in fields(kind) if each.name in read_as}
