"""How much is in a feed's deliveries: whether the newest is too small or too dirty, by its contract or by others."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sluice.contracts.expectation import Expectation
from sluice.duty.arrivals import Arrival, Kind

# So many deliveries before the newest are held against it, and no fewer than so many.
_MOST, ENOUGH = 50, 10
# Of a feed of many files one that is odd is no news: of so many within so long the middle one counts.
_MANY, _MOMENT = 3, timedelta(minutes=10)
# What is learned is said only of a file of less than half, or of a share of rejects of more than twice, what is usual.
_HALF, _TWICE = 0.5, 2.0
_SIGMAS = 4 * 1.4826
# A usual share below this is nothing, and fewer rejects are chance.
_SHARE_LEAST, _REJECTS_LEAST = 0.01, 5


@dataclass(frozen=True)
class Delivery:
    """Files that came together: new rows, rows read and set aside, when the last of them landed."""

    at: datetime
    rows: int
    read: int
    rejected: int
    is_refused: bool

    @property
    def share(self) -> float:
        """The share of the rows that was set aside; of a file that was refused, all."""
        return 1.0 if self.is_refused else self.rejected / self.read if self.read else 0.0


def deliveries(
    arrivals: Sequence[Arrival], key: Callable[[Arrival], Hashable], *, repeats_count_after: timedelta | None
) -> list[Delivery]:
    """What was delivered, the oldest first; arrivals that follow one another with one ``key`` came together.

    What is not judged yet is left out. Bytes that were there already bring no rows: they are a delivery of none when
    the last new rows are older than ``repeats_count_after``, and nothing otherwise (None: always nothing).
    """
    found = []
    news: datetime | None = None
    for _, group in itertools.groupby((each for each in arrivals if each.kind is not Kind.OPEN), key):
        files = list(group)
        if all(each.kind is Kind.REPEATED for each in files):
            is_due = repeats_count_after is not None and (news is None or files[-1].at - news > repeats_count_after)
            if not is_due:
                continue
        else:
            news = files[-1].at
        found.append(_delivery(files))
    return found


def _delivery(files: Sequence[Arrival]) -> Delivery:
    told = [each for each in files if each.kind is not Kind.REPEATED]
    return Delivery(
        files[-1].at,
        sum(each.rows or 0 for each in files),
        sum(each.read for each in files),
        sum(each.rejected for each in files),
        bool(told) and told[-1].kind is Kind.REFUSED,
    )


@dataclass(frozen=True)
class Amounts:
    """What the newest delivery was judged by; None where nothing says it. Shares are 0 to 1.

    ``says_rows``, ``says_share``: the contract says the bound; otherwise it is learned.
    """

    newest: Delivery
    seen: int
    usual_rows: float | None
    least_rows: float | None
    usual_share: float | None
    most_share: float | None
    says_rows: bool
    says_share: bool

    @property
    def is_small(self) -> bool:
        """Whether it has fewer rows than it may."""
        return self.least_rows is not None and self.newest.rows < self.least_rows

    @property
    def is_dirty(self) -> bool:
        """Whether it was refused, or more of its rows were set aside than may be."""
        return self.newest.is_refused or (self.most_share is not None and self.newest.share > self.most_share)

    def numbers(self) -> dict[str, Any]:
        """The same as JSON takes it."""
        return {
            "rows": self.newest.rows,
            "rows_usual": self.usual_rows,
            "rows_least": self.least_rows,
            "rows_by": "contract" if self.says_rows else "learned",
            "rejected_share": self.newest.share,
            "rejected_usual": self.usual_share,
            "rejected_most": self.most_share,
            "rejected_by": "contract" if self.says_share else "learned",
            "is_refused": self.newest.is_refused,
            "deliveries_compared": self.seen,
        }


def judged(found: Sequence[Delivery], expect: Expectation | None) -> Amounts | None:
    """The newest of these deliveries, held against its contract and against those before it; None of nothing."""
    if not found:
        return None
    newest = found[-1] if expect and expect.says_when else _middle(found)
    before = [each for each in found[:-1] if not each.is_refused][-_MOST:]
    is_enough = len(before) >= ENOUGH
    rows = [each.rows for each in before]
    shares = [each.share for each in before if each.read]
    return Amounts(
        newest,
        len(before),
        statistics.median(rows) if is_enough else None,
        _least_rows(rows if is_enough else [], expect),
        statistics.median(shares) if len(shares) >= ENOUGH else None,
        _most_share(shares if len(shares) >= ENOUGH else [], newest, expect),
        bool(expect and (expect.rows is not None or expect.volume is not None)),
        bool(expect and expect.rejected is not None),
    )


def _middle(found: Sequence[Delivery]) -> Delivery:
    """What stands for the newest ones of a feed of many files; the newest itself of another."""
    newest = found[-1]
    recent = [each for each in found if each.at > newest.at - _MOMENT]
    if len(recent) < _MANY:
        return newest
    rows, read, rejected = (
        statistics.median_low(getattr(each, part) for each in recent) for part in ("rows", "read", "rejected")
    )
    refused = sum(each.is_refused for each in recent)
    return Delivery(newest.at, rows, read, rejected, is_refused=2 * refused > len(recent))


def _least_rows(before: Sequence[int], expect: Expectation | None) -> float | None:
    if expect and (expect.rows is not None or expect.volume is not None):
        least_of_all = [] if expect.rows is None else [float(expect.rows)]
        if expect.volume is not None and before:
            least_of_all.append(expect.volume * statistics.median(before))
        return max(least_of_all, default=None)
    if not before:
        return None
    # Sizes differ by factors: quiet days and busy ones.
    sizes = [math.log1p(each) for each in before]
    middle = statistics.median(sizes)
    spread = statistics.median(abs(size - middle) for size in sizes) * _SIGMAS
    far_less = math.expm1(middle - max(spread, -math.log(_HALF)))
    least = min(far_less, _HALF * _quantile(before, 0.05))
    return least if least >= 1 else None


def _most_share(before: Sequence[float], newest: Delivery, expect: Expectation | None) -> float | None:
    if expect and expect.rejected is not None:
        return expect.rejected
    if not before or newest.rejected < _REJECTS_LEAST:
        return None
    most = max(_TWICE * _quantile(before, 0.95), _SHARE_LEAST)
    # Of few rows chance alone sets aside a larger share.
    return min(most + 4 * math.sqrt(most * (1 - min(most, 1.0)) / max(newest.read, 1)), 1.0)


def _quantile(values: Sequence[float], part: float) -> float:
    ordered = sorted(values)
    return ordered[round(part * (len(ordered) - 1))]
