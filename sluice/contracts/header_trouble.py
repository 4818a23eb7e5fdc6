"""Why no contract can read a file's header, in words of what its lines are."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from sluice.contracts.model import Contract, NoContractError
from sluice.reading.dialect import Dialect
from sluice.reading.fields import split, text
from sluice.reading.header_lines import separator_named
from sluice.reading.kinds import kind_of
from sluice.reading.lines import LINE_END
from sluice.reading.transcoding import shown, text_of

_LINES_LOOKED_AT = 30
_SHOWN = 120
_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "pipes", " ": "blanks"}
_ENCODINGS = ("cp1252", "cp850")
_VALUE = re.compile(
    r"[+-]?[0-9]+([.,][0-9]+)?|[0-9]{4}-[0-9]{2}-[0-9]{2}.*|[0-9]{1,2}[./][0-9]{1,2}[./][0-9]{2,4}.*"
    r"|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
)


@dataclass(frozen=True)
class _Line:
    """One line of the beginning, in bytes of the dialect's ``text_encoding``; ``number`` counts from 1."""

    number: int
    content: bytes

    def names(self, dialect: Dialect) -> list[str] | None:
        """Its fields as text; None when its quotes do not fit."""
        parts = split(self.content, dialect)
        return None if _broken(parts[-1], dialect) else [text(part, dialect) for part in parts]


def explained(
    error: NoContractError,
    beginning: bytes,
    name: str,
    marked_encoding: str | None,
    dialects: Mapping[Contract, Dialect],
) -> str:
    """What ``error``, that no contract fits, comes from: the file is no CSV, or its header is written or stands
    otherwise than a contract expects. ``error`` itself where nothing else is found. ``dialects`` are of all contracts,
    also of those that take no file of this ``name``."""
    asked = {contract: dialect for contract, dialect in dialects.items() if contract.takes(name)}
    if unknown := _names_unknown_separator(beginning, asked):
        return unknown
    if kind := kind_of(beginning, name, marked_encoding):
        return str(kind)
    if not beginning.strip(b"\r\n\0"):
        return "the file has no header, only empty lines: its first line must name the columns"
    lines = {contract: _lines(beginning, dialects[contract], contract) for contract in dialects}
    by_names = {contract: dialect for contract, dialect in asked.items() if contract.layout.names_columns}
    found = (
        _named_otherwise({c: d for c, d in dialects.items() if c not in asked}, lines)
        or _passed_over_as_a_comment(by_names, beginning)
        or _fits_otherwise(by_names, lines)
        or _looks_separated_otherwise(by_names, lines)
        or ("" if error.is_read else _quotes_do_not_fit(by_names, lines))
    )
    return found or str(error) + _looks_like_values(by_names, lines)


def _lines(beginning: bytes, dialect: Dialect, contract: Contract) -> list[_Line]:
    """The first lines below those that ``contract`` passes over and one that names the separator, without empty ones
    and comments."""
    content = text_of(io.BytesIO(beginning), dialect).read(len(beginning))
    pieces = LINE_END.split(content, _LINES_LOOKED_AT + contract.layout.skip_lines)
    lines = [_Line(number, piece) for number, piece in enumerate(pieces, start=1)]
    comment = dialect.comment.encode(dialect.text_encoding) if dialect.comment else b"\0"
    passed_over = max(contract.layout.skip_lines, separator_named(pieces[0], dialect) is not None)
    below = lines[passed_over:][:_LINES_LOOKED_AT]
    return [line for line in below if line.content and not line.content.startswith(comment)]


def _names_unknown_separator(beginning: bytes, dialects: Mapping[Contract, Dialect]) -> str:
    """Line 1 names the separator, and no contract has it."""
    first = {text_of(io.BytesIO(beginning), dialect).read(64): dialect for dialect in dialects.values()}
    named = {separator_named(line, dialect) for line, dialect in first.items()} - {None}
    if not named or any(dialect.separator in named for dialect in dialects.values()):
        return ""
    expected = ", ".join(f"{contract.name} {dialect.separator!r}" for contract, dialect in dialects.items())
    return (
        f"line 1 names the separator {named.pop()!r}, which no contract has (expected: {expected}): write it into "
        "csv.separator of the feed's contract, or separate the file's fields as the contract says"
    )


def _named_otherwise(dialects: Mapping[Contract, Dialect], lines: Mapping[Contract, list[_Line]]) -> str:
    """The header is that of a contract which takes no file of this name."""
    first = [(c, line.names(d) or []) for c, d in dialects.items() if c.layout.names_columns for line in lines[c][:1]]
    fitting = {contract: contract.matched(names) for contract, names in first if _fits(contract, names)}
    if not fitting:
        return ""
    best = max(fitting, key=lambda contract: fitting[contract])
    return (
        f"the header is that of contract {best.name}, which takes only files named {' or '.join(best.files)}: "
        "name the file so, or change files in the contract"
    )


def _others(dialect: Dialect, line: _Line) -> Iterator[Dialect]:
    """The same dialect with another separator, with the other quote where ``line`` has that one alone, and with
    another encoding where its bytes are none of this one."""
    if not dialect.is_transcoded and not _is_of(line.content, dialect.text_encoding):
        yield from (replace(dialect, encoding=other) for other in _ENCODINGS if _is_of(line.content, other))
    separators = [mark for mark in _SEPARATORS if mark not in (dialect.separator, dialect.escape, " ")]
    separated = [replace(dialect, separator=separator) for separator in separators]
    yield from separated
    quote = "'" if dialect.quote == '"' else '"'
    if quote.encode() in line.content and dialect.quote.encode() not in line.content and quote != dialect.escape:
        yield from (replace(each, quote=quote) for each in (dialect, *separated) if each.separator != quote)


def _passed_over_as_a_comment(dialects: Mapping[Contract, Dialect], beginning: bytes) -> str:
    """The header of a contract begins with what its comments begin with."""
    for contract, dialect in dialects.items():
        for line in _lines(beginning, replace(dialect, comment=None), contract) if dialect.comment else ():
            begins = line.content.startswith(dialect.comment_bytes or b"\n")
            if begins and _fits(contract, line.names(dialect)):
                return (
                    f"line {line.number} is the header of contract {contract.name}, but begins with "
                    f"{dialect.comment!r}, its csv.comment, and is passed over: quote the first name, put another one "
                    "first, or let the contract say another comment"
                )
    return ""


def _fits_otherwise(dialects: Mapping[Contract, Dialect], lines: Mapping[Contract, list[_Line]]) -> str:
    """A line further down is the header of a contract, or line 1 is in another dialect."""
    for contract, dialect in dialects.items():
        for line in lines[contract][1:]:
            if _fits(contract, line.names(dialect)):
                above = line.number - 1
                return (
                    f"the header of contract {contract.name} stands in line {line.number}: take the {above} lines "
                    f"above it away, or let the contract say skipLines: {above} under csv"
                )
    for contract, dialect in dialects.items():
        for line in lines[contract][:1]:
            for other in _others(dialect, line):
                if _fits(contract, line.names(other)):
                    return _written_otherwise(line, other, contract, dialect)
    return ""


def _written_otherwise(line: _Line, there: Dialect, contract: Contract, expected: Dialect) -> str:
    looks, expects, says = [f"separated by {_words(there)}"], [_words(expected)], []
    if there.separator != expected.separator:
        says.append(f"separator: {_yaml(there.separator)}")
    if there.quote != expected.quote:
        looks.append(f"quoted by {there.quote}")
        expects.append(expected.quote)
        says.append(f"quote: {_yaml(there.quote)}")
    if there.encoding != expected.encoding:
        looks = [f"written in {there.encoding}"]
        expects = [expected.encoding]
        says.append(f"encoding: {there.encoding}")
    return (
        f"line {line.number} looks {' and '.join(looks)}: contract {contract.name} expects {' and '.join(expects)}; "
        f"write the file so, or let the contract say {' and '.join(says)} under csv"
    )


def _looks_separated_otherwise(dialects: Mapping[Contract, Dialect], lines: Mapping[Contract, list[_Line]]) -> str:
    """No contract finds more than one field in line 1, or its quotes do not fit, but with another separator there are
    several."""
    widths: dict[Dialect, int] = {}
    for contract, dialect in dialects.items():
        for line in lines[contract][:1]:
            if len(line.names(dialect) or ()) > 1:
                return ""
            widths |= {other: len(line.names(other) or ()) for other in _others(dialect, line)}
    if max(widths.values(), default=0) < 2:
        return ""
    best = max(widths, key=lambda dialect: widths[dialect])
    contract, line = next((contract, mine[0]) for contract, mine in lines.items() if mine)
    names = line.names(best) or []
    expected = "; ".join(f"{contract.name} expects {_words(dialect)}" for contract, dialect in dialects.items())
    return (
        f"line {line.number} looks separated by {_words(best)}, into {_shown(names)}, which fits no contract either "
        f"(contract {expected}): correct the header, or add a contract for this feed under include/contracts"
    )


def _quotes_do_not_fit(dialects: Mapping[Contract, Dialect], lines: Mapping[Contract, list[_Line]]) -> str:
    """Of the contract that reads most of line 1 before its quoting breaks."""
    broken = [
        (len(parts), contract, lines[contract][0], parts[-1])
        for contract, dialect in dialects.items()
        if lines[contract] and _broken((parts := split(lines[contract][0].content, dialect))[-1], dialect)
    ]
    if not broken or len(broken) < len(dialects):
        return ""
    fields, contract, line, rest = max(broken, key=lambda each: each[0])
    dialect = dialects[contract]
    before, after = shown(line.content[: -len(rest)], dialect), shown(rest, dialect)
    match = dialect.quoted_field.match(rest)
    if match is None:
        where = f"the {dialect.quote} at character {len(before) + 1} opens field {fields}, and nothing closes it"
    else:
        closed = shown(match.group(), dialect)
        where = (
            f"after the {dialect.quote} that closes field {fields}, at character {len(before) + len(closed)}, stands "
            f"{after[len(closed) :][:20]!r} and not a separator ({_words(dialect)})"
        )
    return (
        f"line {line.number} is the header, but its quotes do not fit: {where}; correct this line: "
        f"{shown(line.content, dialect)[:_SHOWN]!r}"
    )


def _looks_like_values(dialects: Mapping[Contract, Dialect], lines: Mapping[Contract, list[_Line]]) -> str:
    for contract, dialect in dialects.items():
        for line in lines[contract][:1]:
            names = line.names(dialect) or []
            values = [name for name in names if _VALUE.fullmatch(name.strip())]
            if len(values) >= max(2, sum(map(bool, names)) / 4):
                return (
                    f"; line {line.number} looks like a row of values ({values[0][:40]!r}), not like names: if the "
                    "names are missing, put them above it, or let a contract say header: none under csv"
                )
    return ""


def _fits(contract: Contract, names: list[str] | None) -> bool:
    """Whether the names are likely the contract's own: no required one is missing, and it knows half of them."""
    named = [name for name in names or () if name.strip()]
    return bool(named) and not contract.missing(named) and contract.matched(named) * 2 >= len(named)


def _is_of(content: bytes, encoding: str) -> bool:
    try:
        content.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _broken(part: bytes, dialect: Dialect) -> bool:
    """Whether ``part``, the last of a record, is where its quoting broke."""
    if not part.startswith(dialect.quote.encode()):
        return False
    match = dialect.quoted_field.match(part)
    return match is None or match.end() < len(part)


def _words(dialect: Dialect) -> str:
    return _SEPARATORS.get(dialect.separator, repr(dialect.separator))


def _yaml(mark: str) -> str:
    return {"\t": '"\\t"', '"': "'\"'"}.get(mark, f'"{mark}"')


def _shown(names: list[str]) -> str:
    more = f" and {len(names) - 10:,} more" if len(names) > 10 else ""
    return f"{[name[:40] for name in names[:10]]}{more}"
