"""Guesses what stands above a file's rows: titles, the names of the columns, or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from sluice.contracts.profiling.cells import Evidence, Looks, are_steps, evidence, is_unit, kind_of_cell, looks_of
from sluice.contracts.profiling.guess import Guess
from sluice.contracts.profiling.names import names_by_position, repeated
from sluice.contracts.profiling.records import Record, bulk_width, naive_cells
from sluice.reading.dialect import Dialect
from sluice.reading.header_lines import names_of
from sluice.reading.layout import Layout
from sluice.reading.lines import LINE_END
from sluice.reading.transcoding import shown

_ABOVE_MOST, _HEADER_LINES_MOST = 200, 4
_SHOWN = 60


@dataclass(frozen=True)
class Top:
    """What stands above the rows. ``names`` are those of the columns where the file does not say them itself."""

    layout: Layout
    width: int
    looks: tuple[Looks, ...]
    names: tuple[str, ...] = ()
    guesses: tuple[Guess, ...] = ()


def guessed_top(records: Sequence[Record], dialect: Dialect) -> Top | None:
    """What stands above the rows of a file that begins with ``records``; None when no record can be told apart."""
    width = bulk_width(records)
    if not width:
        return None
    return _Search(records, dialect, width).top()


class _Search:
    """Looks for the names among the first records, of which the rows have ``width`` fields."""

    def __init__(self, records: Sequence[Record], dialect: Dialect, width: int) -> None:
        self._records = records
        self._dialect = dialect
        self._width = width
        of_width = [record for record in records if record.width == width]
        self._usual = median(len(record.filled) for record in of_width)
        quarter = len(of_width) // 4
        self._all_looks = looks_of(of_width[quarter : len(of_width) - quarter], width)

    def top(self) -> Top:
        """The names, of one line or several; a line of names that is broken; or none."""
        at = self._first_full()
        if self._is_row(at):
            return self._without_names(at)
        broken = self._broken_names_above(at)
        if broken is not None and not self._records[at - 1].cells and not self._evidence(at).names:
            return self._ignored(at - 1, 1, broken)
        return self._with_names(at)

    def _first_full(self) -> int:
        """The first record that has as many fields as the rows, and a value in more than half as many as is usual."""
        places = [i for i, record in enumerate(self._records[:_ABOVE_MOST]) if record.width == self._width]
        full = (i for i in places if len(self._records[i].filled) * 2 > self._usual)
        first = next(full, places[0] if places else self._first_of_width())
        sparse = [i for i in places if i < first]
        if sparse and self._is_row(first) and self._names_some(sparse[-1]):
            return sparse[-1]
        return first

    def _first_of_width(self) -> int:
        return next(i for i, record in enumerate(self._records) if record.width == self._width)

    def _names_some(self, at: int) -> bool:
        """Whether a record with few values names columns: a title would stand in the first one alone."""
        return self._records[at].filled != [0] and self._evidence(at).names > self._evidence(at).values

    def _below(self, at: int) -> list[Looks]:
        """How the columns look from the record on; the last of very few."""
        rows = [record for record in self._records[at:] if record.width == self._width]
        return looks_of(rows, self._width) if len(rows) < 8 else self._all_looks

    def _evidence(self, at: int) -> Evidence:
        return evidence(self._records[at], self._below(at + 1))

    def _is_row(self, at: int) -> bool:
        """Whether the record is one more row."""
        record, found = self._records[at], self._evidence(at)
        below = [each for each in self._records[at + 1 : at + 6] if each.width == self._width]
        if not below:
            cells = [kind_of_cell(record.cells[i] or "") for i in record.filled]
            return sum(kind != "text" for kind in cells) * 2 > len(cells)
        if are_steps(record.cells) and 2 * sum(are_steps(row.cells) for row in below) <= len(below):
            return False
        return found.values > found.names

    def _without_names(self, at: int) -> Top:
        broken = self._broken_names_above(at)
        if broken is not None:
            return self._ignored(at - 1, 1, broken)
        line = self._records[at].line
        cells = [self._records[at].cells[i] or "" for i in self._records[at].filled]
        seen = next((cell for cell in cells if kind_of_cell(cell) != "text"), (cells or [""])[0])
        guesses = [
            Guess(
                f"line {line} looks like the rows below it ({_quoted(seen)}), not like names: the columns are named by "
                "their position",
                "header",
                "header: first, if line 1 names the columns after all; otherwise give the columns better names",
                line,
            )
        ]
        guesses = [*self._skipped(at), *guesses]
        layout = Layout(skip_lines=self._lines_above(at), header="none")
        return self._found(layout, names_by_position((), self._width), guesses)

    def _broken_names_above(self, at: int) -> list[str] | None:
        """The usable names in the record above, where it seems to name the columns but is broken; None when not."""
        record = self._records[at - 1] if at else None
        if record is None or record.width == self._width:
            return None
        if not record.cells:
            cells = naive_cells(record.raw, self._dialect)
            return self._placed(cells, at) if abs(len(cells) - self._width) * 2 < self._width else None
        cells = [cell or "" for cell in record.cells]
        texts = [cell for cell in cells if cell.strip() and kind_of_cell(cell) == "text"]
        is_like_names = record.width > 1 and len(texts) * 4 >= len(cells) * 3 and record.width * 2 >= self._width
        return self._placed(cells, at) if is_like_names and record.width < 2 * self._width else None

    def _placed(self, cells: list[str], at: int) -> list[str]:
        """The cells where it is certain above which columns they stand: all of them, or none."""
        if len(cells) == self._width:
            return cells
        rows = [record.cells for record in self._records[at:] if record.width == self._width]
        if len(cells) < self._width and not any(cell and cell.strip() for row in rows for cell in row[len(cells) :]):
            return cells
        return (
            cells[: self._width]
            if not any(cell.strip() for cell in cells[self._width :]) and (len(cells) > self._width)
            else []
        )

    def _ignored(self, at: int, count: int, cells: Sequence[str]) -> Top:
        """``count`` records from ``at`` on name the columns, but no contract can take these names as they are."""
        record = self._records[at]
        names = names_by_position(cells, self._width)
        if not record.cells:
            why = "its quotes do not fit"
        elif record.width != self._width:
            why = f"it has {record.width} fields, and the rows {self._width}"
        else:
            why = f"it names {', '.join(map(_quoted, repeated(cells)[:5]))} more than once"
        lines = sum(self._lines_of(each) for each in self._records[at : at + count])
        text = (
            f"{_lines(record.line, lines)} seems to name the columns, but {why}: {_quoted(self._shown(record))}. It is "
            f"passed over, and the columns are named by position: {', '.join(names[:8])}{' …' * (len(names) > 8)}"
        )
        otherwise = "correct the header at its source and draft again; otherwise look at the columns' order and names"
        layout = Layout(skip_lines=self._lines_above(at), header="ignore", header_lines=lines)
        return self._found(layout, names, [*self._skipped(at), Guess(text, "header", otherwise, record.line)])

    def _with_names(self, at: int) -> Top:
        lines = 1
        while lines < _HEADER_LINES_MOST and self._goes_on(at + lines, at):
            if self._is_better_alone(at + lines - 1, at + lines) and lines == 1:
                at += 1
            else:
                lines += 1
        if repeated(self._names(at, lines)) and self._is_merged(at - 1, at, lines):
            at, lines = at - 1, lines + 1
        names = self._names(at, lines)
        if repeated(names):
            return self._ignored(at, lines, names)
        return self._found(Layout(self._lines_above(at), "first", lines), [], self._asked(at, lines, names))

    def _asked(self, at: int, lines: int, names: Sequence[str]) -> list[Guess]:
        guesses, line = self._skipped(at), self._records[at].line
        if lines > 1:
            text = (
                f"{_lines(line, lines)} are taken for one header: names such as "
                f"{', '.join(map(_quoted, [name for name in names if name.strip()][:3]))}"
            )
            guesses.append(Guess(text, "headerLines", "headerLines: 1", line))
        found = self._evidence(at + lines - 1)
        if lines == 1 and found.values:
            looks = self._below(at + 1)
            seen = next(name for name, look in zip(names, looks, strict=True) if look.says(name) > 0)
            text = f"line {line} is taken for the names of the columns, though {_quoted(seen)} in it looks like a value"
            guesses.append(Guess(text, "header", "header: none, with files that say which files are this feed's", line))
        return guesses

    def _goes_on(self, at: int, first: int) -> bool:
        """Whether the record is one more line of the header that begins at ``first``: units, or parts of names."""
        records = self._records
        if at + 1 >= len(records) or records[at].width != self._width or len(records[at].filled) * 2 <= self._usual:
            return False
        rows = [record for record in records[at + 1 :] if record.width == self._width]
        found = evidence(records[at], self._below(at + 1))
        texts = [records[at].cells[i] or "" for i in records[at].filled]
        if not rows or found.values or any(kind_of_cell(cell) != "text" for cell in texts):
            return False
        is_like_names = found.names >= 2 or (found.names == 1 and all(map(is_unit, texts)))
        return is_like_names and not self._is_row(first)

    def _is_better_alone(self, above: int, at: int) -> bool:
        """Whether the record names the columns by itself, and what stands above it is about the file."""
        fewer = len(self._records[above].filled) < len(self._records[at].filled)
        return fewer and not repeated(self._names(at, 1))

    def _is_merged(self, above: int, at: int, lines: int) -> bool:
        """Whether the record above has the upper parts of names, as merged cells do, with which all names differ."""
        if above < 0 or self._records[above].width != self._width or len(self._records[above].filled) < 2:
            return False
        texts = [self._records[above].cells[i] or "" for i in self._records[above].filled]
        return all(kind_of_cell(cell) in ("text", "number") for cell in texts) and not repeated(
            self._names(above, lines + 1)
        )

    def _names(self, at: int, lines: int) -> list[str]:
        return names_of([record.raw for record in self._records[at : at + lines]], self._dialect)

    def _lines_of(self, record: Record) -> int:
        """On how many lines the record stands that are not empty."""
        return sum(bool(line) for line in LINE_END.split(record.raw))

    def _lines_above(self, at: int) -> int:
        """How many lines the contract passes over so that the record is the first; empty ones alone need no word."""
        return self._records[at].line - 1 if at else 0

    def _skipped(self, at: int) -> list[Guess]:
        if not at:
            return []
        first, above = self._records[0], self._lines_above(at)
        text = f"{_lines(1, above)} above the table {'are' if above > 1 else 'is'} passed over: {self._seen(first)}"
        return [Guess(text, "skipLines", "the number of lines above the names of the columns", first.line)]

    def _seen(self, record: Record) -> str:
        return _quoted(self._shown(record))

    def _shown(self, record: Record) -> str:
        return shown(record.raw, self._dialect).strip()

    def _found(self, layout: Layout, names: Sequence[str], guesses: Sequence[Guess]) -> Top:
        return Top(layout, self._width, tuple(self._all_looks), tuple(names), tuple(guesses))


def _lines(first: int, count: int) -> str:
    return f"line {first}" if count == 1 else f"lines {first} to {first + count - 1}"


def _quoted(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
