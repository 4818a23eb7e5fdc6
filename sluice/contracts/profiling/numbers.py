"""How the numbers of a column are written: whole or not, with which separators and signs of currencies."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from sluice.contracts.profiling.nearly_all import are_nearly_all, rows_that

_CURRENCIES = frozenset(
    ("EUR", "USD", "GBP", "CHF", "SEK", "NOK", "DKK", "PLN", "CZK", "HUF", "RON", "JPY", "CNY", "INR", "BRL", "AUD")
) | {"CAD", "NZD", "ZAR", "TRY", "RUB", "MXN", "SGD", "US$", "R$", "C$", "A$", "kr", "kr.", "Kč", "zł", "Ft", "Fr."}
_BLANK = "[ \u00a0\u202f]"
# (decimal separator, separator of thousands); of those that fit as many rows, the first is taken.
_SEPARATORS = ((".", ""), (",", ""), (".", ","), (",", "."), (",", " "), (".", " "), (".", "'"), (".", "’"), (",", "'"))
_AFFIXES = re.compile(
    rf"(?P<before>[^\d,()]*?){_BLANK}?[+-]?\d[\d.,'’ \u00a0\u202f]*?{_BLANK}?(?P<after>[^\d.,()]*\.?)"
)
_FEW = 200
_ALL_DIGITS, _WHOLE_DIGITS = 38, 28
_FLOAT = re.compile(r"[+-]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_ACCOUNTING = re.compile(r"\([^()]*\d[^()]*\)|[^-]*\d *-")
_THOUSAND = re.compile(r"(?<![0-9.,])[1-9][0-9]{0,2}([.,])[0-9]{3}(?![0-9.,])")


@dataclass(frozen=True)
class NumberFormat:
    """How numbers are written. ``kind`` is integer, number or float.

    ``sizes`` are, by digits before and after the point, how many rows have such a number. ``is_ambiguous`` says that
    every mark stands before exactly three digits, so that it may be of thousands as well as of decimals.
    """

    kind: str
    decimal_separator: str = "."
    thousands_separator: str = ""
    currency: tuple[str, ...] = ()
    sizes: tuple[tuple[int, int, int], ...] = ()
    has_leading_zeros: bool = False
    is_ambiguous: bool = False

    @property
    def decimals(self) -> int:
        """Most digits after the point."""
        return max((decimals for _, decimals, _ in self.sizes), default=0)

    def rows_within(self, whole: int, decimals: int) -> int:
        """How many rows have a number of at most so many digits before and after the point."""
        return sum(rows for w, d, rows in self.sizes if w <= whole and d <= decimals)

    def fits(self, value: str) -> bool:
        """Whether the text is a number that is written so."""
        if self.kind == "float":
            return _FLOAT.fullmatch(value) is not None
        return _parts(value, self) is not None


def number_format(counts: Mapping[str, int], *, prefers_commas: bool) -> NumberFormat | None:
    """How nearly all values are written as numbers, of texts and how many rows have each; None when they are none.

    ``prefers_commas`` decides about `1,234` where nothing else does: as a number with decimals.
    """
    if not any(character.isdigit() for value in list(counts)[:50] for character in value):
        return None
    rows = sum(counts.values())
    currency = _currency(counts)
    few = dict(list(counts.items())[:_FEW])
    tried = [NumberFormat("number", *marks, currency) for marks in _SEPARATORS]
    tried = [form for form in tried if rows_that(form.fits, few) * 2 >= sum(few.values())]
    if not tried:
        return _float(counts, rows)
    ranked = [(rows_that(form.fits, counts), -place, form) for place, form in enumerate(tried)]
    fitting, _, best = max(ranked, key=lambda one: one[:2])
    if not are_nearly_all(fitting, rows):
        return _float(counts, rows)
    best = _of_two(best, counts, fitting, prefers_commas=prefers_commas)
    return _measured(best, counts)


def looks_like_accounting(counts: Mapping[str, int]) -> str | None:
    """The first negative number as accountants write it, `(9.50)` or `9.50-`; None when there is none."""
    return next((value for value in counts if _ACCOUNTING.fullmatch(value)), None)


def _of_two(best: NumberFormat, counts: Mapping[str, int], fitting: int, *, prefers_commas: bool) -> NumberFormat:
    """Of two formats that the numbers fit equally well, with 1,234 as a thousand or with decimals, the likelier."""
    marked = [value for value in counts if set(value) & set(".,") and best.fits(value)]
    matches = [_THOUSAND.search(value) for value in marked]
    marks = {match[1] for match in matches if match}
    if len(marks) != 1 or not all(matches):
        return best
    [mark] = marks
    other = "." if mark == "," else ","
    decimals, thousands = replace(best, decimal_separator=mark, thousands_separator=""), (other, mark)
    grouped = replace(best, decimal_separator=thousands[0], thousands_separator=thousands[1])
    wanted = decimals if mark == "." or prefers_commas else grouped
    is_sure = mark == "." and not prefers_commas
    fits_both = rows_that(decimals.fits, counts) == rows_that(grouped.fits, counts) == fitting
    return replace(wanted, is_ambiguous=not is_sure) if fits_both else best


def _float(counts: Mapping[str, int], rows: int) -> NumberFormat | None:
    form = NumberFormat("float")
    return form if are_nearly_all(rows_that(form.fits, counts), rows) else None


def _measured(form: NumberFormat, counts: Mapping[str, int]) -> NumberFormat | None:
    """The format with the numbers' sizes; None when they are codes (zeros before them), or have too many digits."""
    sizes: Counter[tuple[int, int]] = Counter()
    zeros, has_points, used = 0, False, dict.fromkeys(form.currency, False)
    for value, rows in counts.items():
        if (parts := _parts(value, form)) is None:
            continue
        whole = "".join(filter(str.isdigit, parts[0]))
        sizes[max(1, len(whole.lstrip("0"))), len((parts[1] or "").rstrip("0"))] += rows
        zeros += rows if len(whole) > 1 and whole[0] == "0" else 0
        has_points |= parts[1] is not None
        used |= {sign: True for sign in form.currency if sign in value}
    whole_most, decimals_most = max(w for w, _ in sizes), max(d for _, d in sizes)
    is_too_long = whole_most + decimals_most > _ALL_DIGITS or (has_points and whole_most > _WHOLE_DIGITS)
    if is_too_long or not are_nearly_all(sizes.total() - zeros, sizes.total()):
        return None
    return replace(
        form,
        kind="number" if has_points else "integer",
        decimal_separator=form.decimal_separator if has_points else ".",
        currency=tuple(sign for sign, is_used in used.items() if is_used),
        sizes=tuple((whole, decimals, rows) for (whole, decimals), rows in sizes.items()),
        has_leading_zeros=zeros > 0,
    )


def _currency(counts: Mapping[str, int]) -> tuple[str, ...]:
    """The signs of currencies that stand beside numbers, in the order in which they are met."""
    found: dict[str, None] = {}
    for value in counts:
        if not value[:1].isdigit() or not value[-1:].isdigit():
            affixes = _AFFIXES.fullmatch(value)
            for part in (affixes["before"], affixes["after"]) if affixes else ():
                if (sign := part.strip(" \u00a0\u202f+-")) and _is_currency(sign):
                    found[sign] = None
    return tuple(found)


def _is_currency(sign: str) -> bool:
    return sign in _CURRENCIES or (len(sign) == 1 and unicodedata.category(sign) == "Sc")


@functools.lru_cache(maxsize=256)
def _shape(decimal: str, thousands: str, currency: tuple[str, ...]) -> re.Pattern[str]:
    """Matches a number that is written so; its groups are the digits before the point and those after it."""
    between = _BLANK if thousands == " " else re.escape(thousands)
    whole = rf"[0-9]{{1,3}}(?:{between}[0-9]{{3}})+|[0-9]+" if thousands else "[0-9]+"
    number = rf"(?=\{decimal}?[0-9])({whole}|)(?:\{decimal}([0-9]*))?"
    if not currency:
        return re.compile(rf"[+-]?{number}")
    sign = f"(?:{'|'.join(map(re.escape, sorted(currency, key=len, reverse=True)))})"
    return re.compile(rf"(?:[+-]?{sign}{_BLANK}?|{sign}{_BLANK}?[+-]|[+-]?){number}(?:{_BLANK}?{sign})?")


def _parts(value: str, form: NumberFormat) -> tuple[str, str] | None:
    """The digits before and after the point, as they stand there; None when ``value`` is no number written so."""
    found = _shape(form.decimal_separator, form.thousands_separator, form.currency).fullmatch(value)
    return (found[1], found[2]) if found else None
