"""What the search for records finds: where they stand in a buffer, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sluice.reading.block import Flags, Integers


@dataclass(frozen=True)
class Stretch:
    """Complete records that follow one another in a buffer; positions are bytes from the buffer's start.

    Record i is ``buffer[starts[i]:ends[i]]`` without its line end, and has ``widths[i]`` fields; the next record starts
    at ``nexts[i]``. ``comments`` are those that are comments, or None. The rest belongs to a record that was found
    alone: ``rewritten`` is what the parser gets instead of its bytes, ``problem`` the rule that it breaks,
    ``stray_quote`` what its stray quotes do (warn, reject, or '').
    """

    starts: Integers
    ends: Integers
    nexts: Integers
    widths: Integers
    comments: Flags | None = None
    rewritten: bytes | None = None
    problem: str = ""
    stray_quote: str = ""

    @classmethod
    def of_one(cls, start: int, end: int, following: int, width: int, **more: Any) -> Stretch:
        """A stretch of one record."""
        starts, ends, nexts, widths = (np.array([n], np.int64) for n in (start, end, following, width))
        return cls(starts, ends, nexts, widths, **more)

    @classmethod
    def joined(cls, stretches: Sequence[Stretch]) -> Stretch:
        """The positions of all ``stretches``, of which there is at least one."""
        if len(stretches) == 1:
            one = stretches[0]
            return cls(one.starts, one.ends, one.nexts, one.widths, one.comments)
        return cls(
            np.concatenate([one.starts for one in stretches]),
            np.concatenate([one.ends for one in stretches]),
            np.concatenate([one.nexts for one in stretches]),
            np.concatenate([one.widths for one in stretches]),
            _joined([one.comments for one in stretches], [len(one) for one in stretches]),
        )

    @property
    def is_record(self) -> Flags:
        """Which of them are records: an empty line or a comment is none, and has no number."""
        is_filled: Flags = self.ends > self.starts
        return is_filled if self.comments is None else is_filled & ~self.comments

    def first(self, count: int) -> Stretch:
        """The first ``count`` of them; of a record that was found alone all or nothing."""
        if count == len(self):
            return self
        comments = None if self.comments is None else self.comments[:count]
        return Stretch(self.starts[:count], self.ends[:count], self.nexts[:count], self.widths[:count], comments)

    def __len__(self) -> int:
        return len(self.starts)


def _joined(comments: Sequence[Flags | None], sizes: Sequence[int]) -> Flags | None:
    if all(flags is None for flags in comments):
        return None
    each = zip(comments, sizes, strict=True)
    return np.concatenate([np.zeros(size, np.bool_) if flags is None else flags for flags, size in each])
