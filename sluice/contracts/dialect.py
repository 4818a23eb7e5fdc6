"""Maps the contract's property ``csv`` to the dialect and the layout that the reader takes.

A new property of how a feed's files are written goes here: its name into ``_OF_RECORDS`` or ``_OF_FILES``, and a
function that reads and checks it. ``Dialect`` and ``Layout`` in sluice/reading hold what the reader acts on.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from typing import Any

from sluice.contracts.model import ContractError
from sluice.contracts.properties import file_text
from sluice.reading.dialect import Dialect
from sluice.reading.layout import HEADERS, Layout

# Encodings in which a byte that looks like a separator may be part of another letter.
_SHIFTING = (
    "iso2022",
    "hz",
    "utf-7",
    "idna",
    "punycode",
    "unicode_escape",
    "raw_unicode_escape",
    "unicode-escape",
    "raw-unicode",
)


_OF_RECORDS = ("comment", "encoding", "escape", "nulls", "quote", "separator", "strayQuote")
_OF_FILES = ("footer", "header", "headerLines", "skipLines")
_MARK_CHARACTERS_MAX = 8
_LINES_MAX = 10_000
# What a contract may say of stray quotes, ever stricter.
STRAY_QUOTES = ("warn", None, "reject")


def parse_dialect(csv: Any) -> Dialect:
    """The dialect that the contract's property ``csv`` says. Raises ContractError, which names the part of it."""
    _must_be_known(csv)
    encoding = _encoding(csv.get("encoding", "utf-8"))
    marks = _marks(csv, encoding)
    return Dialect(
        **marks,
        encoding=encoding,
        nulls=_nulls(csv.get("nulls", [""])),
        stray_quote=_stray_quote(csv.get("strayQuote")),
    )


def parse_layout(csv: Any) -> Layout:
    """The layout that the contract's property ``csv`` says. Raises ContractError, which names the part of it."""
    _must_be_known(csv)
    header = csv.get("header", Layout.header)
    if header not in HEADERS:
        raise ContractError(f"csv.header is {header!r}: it must be one of {', '.join(HEADERS)}")
    if header == "none" and "headerLines" in csv:
        raise ContractError("csv.headerLines says how many lines the header has, but csv.header is none: drop one")
    return Layout(
        skip_lines=_lines(csv, "skipLines", 0, Layout.skip_lines),
        header=header,
        header_lines=_lines(csv, "headerLines", 1, Layout.header_lines),
        footer=_footer(csv.get("footer")),
    )


def _must_be_known(csv: Any) -> None:
    known = sorted((*_OF_RECORDS, *_OF_FILES))
    if not isinstance(csv, dict) or set(csv) - set(known):
        raise ContractError(f"csv is {csv!r}: it may hold {', '.join(known)}")


def _lines(csv: Mapping[str, Any], name: str, least: int, default: int) -> int:
    lines = csv.get(name, default)
    if isinstance(lines, bool) or not isinstance(lines, int) or not least <= lines <= _LINES_MAX:
        raise ContractError(f"csv.{name} is {lines!r}: it must be a whole number from {least} to {_LINES_MAX:,}")
    return lines


def _footer(pattern: Any) -> str | None:
    if pattern is None:
        return None
    try:
        matches_all = re.compile(pattern).match("") is not None
    except (re.error, TypeError, RecursionError, OverflowError) as error:
        raise ContractError(f"csv.footer is {pattern!r}, which is no regular expression: {error}") from error
    if matches_all or not isinstance(pattern, str):
        raise ContractError(f"csv.footer is {pattern!r}, which any record begins with: say what only totals begin with")
    return pattern


def _marks(csv: Mapping[str, Any], encoding: str) -> dict[str, str]:
    """What stands between fields, around them and before comments, as far as ``csv`` says it; no two alike."""
    marks = {name: csv[name] for name in ("separator", "quote", "escape", "comment") if csv.get(name) is not None}
    quote, escape = marks.get("quote", Dialect.quote), marks.get("escape")
    for name, value in marks.items():
        if name in ("separator", "comment"):
            _must_be_text(f"csv.{name}", value, encoding)
        elif not isinstance(value, str) or len(value) != 1 or not value.isascii() or value in "\r\n\0":
            raise ContractError(f"csv.{name} is {value!r}: it must be one ASCII character in quotes")
    separator, comment = marks.get("separator", Dialect.separator), marks.get("comment")
    if quote in separator or (escape and escape in separator):
        raise ContractError(f"csv.separator is {separator!r}, which holds quote or escape: make them differ")
    if comment and (comment[0] in (quote, escape) or comment.startswith(separator) or separator.startswith(comment)):
        raise ContractError(
            f"csv.comment is {comment!r}, as a record may begin with quote, escape or separator: make them differ"
        )
    if escape == quote:
        del marks["escape"]  # other tools say so; a doubled quote is a quote anyway
    return marks


def _must_be_text(where: str, value: Any, encoding: str) -> None:
    """Whether ``value`` can be looked for in bytes of ``encoding``."""
    is_text = isinstance(value, str) and 1 <= len(value) <= _MARK_CHARACTERS_MAX and not set(value) & set("\r\n\0")
    if not is_text:
        raise ContractError(
            f"{where} is {value!r}: it must be 1 to {_MARK_CHARACTERS_MAX} characters in quotes, no line end among them"
        )
    if value.isascii():
        return
    # In an encoding of several bytes a letter the bytes may be halves of two others; UTF-8 is made against that.
    codec = codecs.lookup(encoding).name
    is_apart = codec.startswith("utf") or len(bytes(range(256)).decode(encoding, "replace")) == 256
    try:
        value.encode(encoding)
    except UnicodeEncodeError:
        is_apart = False
    if not is_apart:
        raise ContractError(f"{where} is {value!r}, which cannot be told apart in {encoding}: use ASCII characters")


def _nulls(nulls: Any) -> tuple[str, ...]:
    if not isinstance(nulls, list):
        raise ContractError(f"csv.nulls is {nulls!r}: write a list of texts")
    return tuple(file_text(null, "csv.nulls") for null in nulls)


def _stray_quote(action: Any) -> str | None:
    if action not in STRAY_QUOTES:
        raise ContractError(
            f"csv.strayQuote is {action!r}: it must be warn or reject; without it only rows whose fields may be "
            "shifted are rejected"
        )
    return None if action is None else str(action)


def _encoding(name: Any) -> str:
    """An encoding in which separators and line ends are single bytes that stand for nothing else, or UTF-16, UTF-32."""
    try:
        codec = codecs.lookup(str(name)).name
        fits = '\n,"a'.encode(codec).endswith(b'\n,"a') or codec.startswith(("utf-16", "utf-32"))
    except (LookupError, ValueError):
        fits = False
    if not fits or codec.startswith(_SHIFTING):
        raise ContractError(
            f"csv.encoding is {name!r}: it must be an encoding that Python knows and that keeps ASCII, such as utf-8, "
            "cp1252, latin-1, utf-16"
        )
    return "utf-8" if codec == "utf-8-sig" else str(name)  # marks are taken off anyway
