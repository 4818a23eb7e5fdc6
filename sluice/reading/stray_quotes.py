"""Quotes inside unquoted fields: mostly inches and the like, but also what is left where a separator was lost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sluice.reading.dialect import Dialect


def judged(buffer: bytes, start: int, stop: int, parts: Sequence[bytes], dialect: Dialect) -> str:
    """What the stray quotes of the record ``buffer[start:stop]`` do to it: warn, reject, or '' when it has none.

    ``parts`` are its fields as they stand there. When a separator was lost before a quote, a separator inside the
    quotes makes up for it, and the fields are shifted without being too few: the quote then begins a quoted field that
    ends well in a later field.
    """
    runs = list(_runs(buffer, start, parts, dialect))
    if not runs:
        return ""
    if dialect.stray_quote is not None:
        return dialect.stray_quote
    is_shifted = any(
        after < end and _reaches_over(buffer, quote, end, stop, dialect) for quote, after, end in runs
    )  # a quote that stands last in its field opens nothing
    return "reject" if is_shifted else "warn"


def _runs(buffer: bytes, start: int, parts: Sequence[bytes], dialect: Dialect) -> Iterator[tuple[int, int, int]]:
    """Where quotes that stand together in an unquoted field begin and end, and where the field ends."""
    quote = dialect.quote.encode()
    for part in parts:
        end = start + len(part)
        matches = dialect.stray_quotes.finditer(buffer, start, end) if part[:1] != quote else ()
        yield from ((match.start(), match.end(), end) for match in matches if match[1])
        start = end + len(dialect.separator_bytes)


def _reaches_over(buffer: bytes, start: int, separator: int, stop: int, dialect: Dialect) -> bool:
    """Whether a quoted field could begin at ``start`` that closes well beyond ``separator``, before ``stop``."""
    match = dialect.quoted_field.match(buffer, start, stop)
    end = match.end() if match else 0
    return end > separator and (end == stop or buffer.startswith(dialect.separator_bytes, end))
