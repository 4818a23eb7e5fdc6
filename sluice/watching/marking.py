"""The raw bytes of a reject as text, in pieces, of which those that a broken rule looks at are marked."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from sluice.contracts.model import Contract
from sluice.reading import fields as record_fields
from sluice.reading.dialect import Dialect
from sluice.reading.transcoding import shown, text_of, without_mark

# What is shown of a long piece, in characters: most of a marked one, both ends of what lies between.
MARKED_SHOWN, END_SHOWN = 1000, 300
ELLIPSIS = " … "


@dataclass(frozen=True)
class Piece:
    """A stretch of the record: ``field`` names the marked one, which ``rules`` are about."""

    text: str
    field: str | None = None
    rules: tuple[str, ...] = ()
    is_trimmed: bool = False

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def dialect_of(contract: Contract | None, read_as: Mapping[str, Any] | None, marked_encoding: str | None) -> Dialect:
    """How the record's file was read: as the ledger says, else as today's contract does."""
    dialect = contract.dialect if contract else Dialect()
    known = {each.name for each in fields(Dialect)}
    said = {name: value for name, value in (read_as or {}).items() if name in known}
    if marked_encoding:
        said["encoding"] = marked_encoding
    dialect = replace(dialect, **said)
    return replace(dialect, encoding=without_mark(dialect.encoding)) if dialect.is_transcoded else dialect


def text_bytes(raw: bytes, dialect: Dialect) -> bytes:
    """The record's bytes as fields are looked for in them."""
    return text_of(io.BytesIO(raw), dialect).read(max(len(raw), 1) * 4) if dialect.is_transcoded else raw


def pieces(
    raw: bytes,
    dialect: Dialect,
    header: Sequence[str],
    about: Mapping[str, Sequence[str]],
    values: Mapping[str, str | None],
) -> list[Piece]:
    """The record in order. ``about`` has the rules by the field that they look at; ``header`` names the fields.

    ``values`` are what the fields held when they were read: a field that does not show its value where it should stand
    is not marked, for it would be the wrong one.
    """
    record = text_bytes(raw, dialect)
    parts = record_fields.split(record, dialect)
    made: list[Piece] = []
    plain, place = 0, 0
    for name, part in zip(header, parts, strict=False):
        end = place + len(part)
        if name in about and _is(part, dialect, values.get(name)):
            made.append(_between(record[plain:place], dialect))
            made.append(_marked(part, dialect, name, about[name]))
            plain = end
        place = end + len(dialect.separator_bytes)
    made.append(_between(record[plain:], dialect))
    return [piece for piece in made if piece.text or piece.field is not None]


def _is(part: bytes, dialect: Dialect, value: str | None) -> bool:
    if value is None:
        return True
    return record_fields.text(part, dialect) == value


def _marked(part: bytes, dialect: Dialect, name: str, rules: Sequence[str]) -> Piece:
    text = shown(part, dialect)
    is_trimmed = len(text) > MARKED_SHOWN
    return Piece(text[:MARKED_SHOWN] + ELLIPSIS * is_trimmed, name, tuple(rules), is_trimmed)


def _between(stretch: bytes, dialect: Dialect) -> Piece:
    text = shown(stretch, dialect)
    if len(text) <= 2 * END_SHOWN + len(ELLIPSIS):
        return Piece(text)
    return Piece(text[:END_SHOWN] + ELLIPSIS + text[-END_SHOWN:], is_trimmed=True)
