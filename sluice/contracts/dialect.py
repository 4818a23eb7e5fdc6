"""Maps the contract's property ``csv`` to the dialect that the reader takes.

A new property of how a feed's files are written goes here: its name into ``_KNOWN``, and a function that reads and
checks it. ``Dialect`` in sluice/reading holds what the reader acts on.
"""

from __future__ import annotations

import codecs
from collections.abc import Mapping
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


_KNOWN = ("encoding", "escape", "nulls", "quote", "separator", "strayQuote")
# What a contract may say of stray quotes, ever stricter.
STRAY_QUOTES = ("warn", None, "reject")


def parse_dialect(csv: Any) -> Dialect:
    """The dialect that the contract's property ``csv`` says. Raises ContractError, which names the part of it."""
    if not isinstance(csv, dict) or set(csv) - set(_KNOWN):
        raise ContractError(f"csv is {csv!r}: it may hold {', '.join(_KNOWN)}")
    marks = _marks(csv)
    return Dialect(
        **marks,
        encoding=_encoding(csv.get("encoding", "utf-8")),
        nulls=_nulls(csv.get("nulls", [""]), marks.get("escape")),
        stray_quote=_stray_quote(csv.get("strayQuote")),
    )


def _marks(csv: Mapping[str, Any]) -> dict[str, str]:
    """What stands between fields and around them, as far as ``csv`` says it: one ASCII character each, no two alike."""
    marks = {name: csv[name] for name in ("separator", "quote", "escape") if csv.get(name) is not None}
    for name, value in marks.items():
        if not isinstance(value, str) or len(value) != 1 or not value.isascii() or value in "\r\n\0":
            raise ContractError(f"csv.{name} is {value!r}: it must be one ASCII character in quotes")
    separator, quote = marks.get("separator", Dialect.separator), marks.get("quote", Dialect.quote)
    if separator in (quote, marks.get("escape")):
        raise ContractError(f"csv.separator is {separator!r}, which quote or escape is too: make them differ")
    if marks.get("escape") == quote:
        del marks["escape"]  # other tools say so; a doubled quote is a quote anyway
    return marks


def _nulls(nulls: Any, escape: str | None) -> tuple[str, ...]:
    if not isinstance(nulls, list):
        raise ContractError(f"csv.nulls is {nulls!r}: write a list of texts")
    texts = tuple(file_text(null, "csv.nulls") for null in nulls)
    if escape and (never := [text for text in texts if escape in text]):
        raise ContractError(
            f"csv.nulls has {never[0]!r}, which holds the escape character {escape!r}, but what that stands before is "
            "read without it: leave escape out if only nulls have it, or write the null without it"
        )
    return texts


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
