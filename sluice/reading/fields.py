"""The fields of one record: apart, as text, and quoted anew. Bytes are of the dialect's ``text_encoding``."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sluice.reading.dialect import Dialect
from sluice.reading.transcoding import shown


def split(record: bytes, dialect: Dialect, most: int | None = None) -> list[bytes]:
    """The fields of a record, quotes included, as they stand in the file; the first ``most`` of them.

    Where quoting breaks, the rest of the record is the last field.
    """
    position, parts, separator = 0, list[bytes](), dialect.separator_bytes
    while True:
        is_quoted = record[position : position + 1] == dialect.quote.encode()
        match = (dialect.quoted_field if is_quoted else dialect.plain_field).match(record, position)
        if match is None:
            return [*parts, record[position:]]
        if match.end() < len(record) and not record.startswith(separator, match.end()):
            return [*parts, record[position:]]
        parts.append(match.group())
        if match.end() >= len(record) or len(parts) == most:
            return parts
        position = match.end() + len(separator)


def text(part: bytes, dialect: Dialect) -> str:
    """A field's text for a person to read; bytes that are not of the encoding show as \\xNN."""
    letters, quote = shown(part, dialect), dialect.quote
    is_quoted = len(letters) > 1 and letters[0] == letters[-1] == quote
    letters = letters[1:-1] if is_quoted else letters
    if dialect.escape is None:
        return letters.replace(quote * 2, quote) if is_quoted else letters
    pair = re.escape(quote * 2) if is_quoted else "(?!)"
    return re.sub(f"{re.escape(dialect.escape)}.|{pair}", lambda match: match[0][1:], letters, flags=re.DOTALL)


def is_null(part: bytes, dialect: Dialect) -> bool:
    """Whether a field stands for no value: unquoted, and one of the dialect's nulls."""
    return part[:1] != dialect.quote.encode() and shown(part, dialect) in dialect.nulls


def requoted(parts: Sequence[bytes], dialect: Dialect) -> bytes:
    """A record of ``parts`` with an LF; those that hold a stray quote are quoted, so that parsers agree on them."""
    quote = dialect.quote.encode()

    def doubled(match: re.Match[bytes]) -> bytes:
        return match.group(1) or quote * 2

    def is_stray(part: bytes) -> bool:
        has_one = quote in part and part[:1] != quote and any(not match[1] for match in pattern.finditer(part))
        return has_one and not is_null(part, dialect)  # a quoted text is never null

    pattern = dialect.quote_or_escaped
    safe = [quote + pattern.sub(doubled, part) + quote if is_stray(part) else part for part in parts]
    return dialect.separator_bytes.join(safe) + b"\n"
