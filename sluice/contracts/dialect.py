"""Maps the contract's property ``csv`` to the dialect that the reader takes.

A new property of how a feed's files are written goes here, and into ``Dialect``.
"""

from __future__ import annotations

import codecs
from typing import Any

from sluice.contracts.model import ContractError
from sluice.contracts.properties import file_text
from sluice.reading.dialect import Dialect

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


def parse_dialect(csv: Any) -> Dialect:
    """The dialect that the contract's property ``csv`` says. Raises ContractError, which names the part of it."""
    known = {"separator", "quote", "escape", "encoding", "nulls", "strayQuote"}
    if not isinstance(csv, dict) or set(csv) - known:
        raise ContractError(f"csv is {csv!r}: it may hold {', '.join(sorted(known))}")
    marks = {name: csv[name] for name in ("separator", "quote", "escape") if csv.get(name) is not None}
    for name, value in marks.items():
        if not isinstance(value, str) or len(value) != 1 or not value.isascii() or value in "\r\n\0":
            raise ContractError(f"csv.{name} is {value!r}: it must be one ASCII character in quotes")
    if {"separator": ",", "quote": '"', **marks}["separator"] in (marks.get("quote", '"'), marks.get("escape")):
        raise ContractError(f"csv.separator is {marks['separator']!r}, which quote or escape is too: make them differ")
    if marks.get("escape") == marks.get("quote", '"'):
        del marks["escape"]  # other tools say so; a doubled quote is a quote anyway
    stray_quote = csv.get("strayQuote")
    if stray_quote not in (None, "warn", "reject"):
        raise ContractError(
            f"csv.strayQuote is {stray_quote!r}: it must be warn or reject; without it only rows whose fields may be "
            "shifted are rejected"
        )
    nulls = csv.get("nulls", [""])
    if not isinstance(nulls, list):
        raise ContractError(f"csv.nulls is {nulls!r}: write a list of texts")
    if (escape := marks.get("escape")) and (never := [null for null in map(str, nulls) if escape in null]):
        raise ContractError(
            f"csv.nulls has {never[0]!r}, which holds the escape character {escape!r}, but what that stands before is "
            "read without it: leave escape out if only nulls have it, or write the null without it"
        )
    return Dialect(
        **marks,
        encoding=_encoding(csv.get("encoding", "utf-8")),
        nulls=tuple(file_text(n, "csv.nulls") for n in nulls),
        stray_quote=stray_quote,
    )


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
