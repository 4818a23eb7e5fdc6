"""How a feed lays out its files: what stands above the records and below them and is none of them."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

# A header names the columns; there is none; or it is there and is passed over.
HEADERS = ("first", "none", "ignore")


@dataclass(frozen=True)
class Layout:
    """What of a file is no record. All of it counts as lines, nothing of it as a record.

    ``skip_lines`` lines at the top are passed over; quotes mean nothing in them. A first line ``sep=;`` is one of them.

    Then the ``header``: ``first`` is ``header_lines`` records that name the columns (empty lines and comments before
    and between them are passed over); ``none`` is nothing; ``ignore`` is ``header_lines`` lines, each after any empty
    lines and comments, that are passed over whatever they hold, quotes meaning nothing. Without ``first`` the names are
    the contract's own columns, by position.

    ``footer`` is a regular expression, or None: the longest run of records at the end of the file of which each begins
    with a match of it is no data. It is held against the record's text as it stands in the file, quotes included. A
    record that is too long to be kept is never of the footer.
    """

    skip_lines: int = 0
    header: str = "first"
    header_lines: int = 1
    footer: str | None = None

    @property
    def marks(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return asdict(self)

    @property
    def names_columns(self) -> bool:
        """Whether the file itself names its columns."""
        return self.header == "first"

    @cached_property
    def footer_begins(self) -> re.Pattern[str] | None:
        """Matches where a record of the footer begins."""
        return re.compile(self.footer, re.DOTALL) if self.footer is not None else None
