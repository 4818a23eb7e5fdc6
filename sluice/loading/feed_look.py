"""What one file looks like beside the earlier files of its feed, gathered while it is loaded."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from sluice.contracts.drift import Drift, emptied, says
from sluice.contracts.matching import Match


class FeedLook:
    """One file's look: how many of its good rows have a value, by column of events, and its drift.

    ``run`` runs a named query of include/sql/load in the file's transaction.
    """

    def __init__(self, run: Callable[..., list[tuple[Any, ...]]], match: Match) -> None:
        self._run = run
        self._match = match
        self._rows = 0
        self._filled = Counter(dict.fromkeys(match.fillable, 0))
        rows = run("load/drift.last_said", match.contract.name)
        self._said: Drift = json.loads(rows[0][0] or "{}") if rows else {}
        self._drift: Drift | None = None

    def add(self, good: pa.Table) -> None:
        """Count the rows of a block that are good."""
        self._rows += good.num_rows
        for name in self._match.fillable:
            self._filled[name] += good.num_rows - good[name].null_count

    def drift(self) -> Drift:
        """The file's drift, when all of its rows are counted."""
        if self._drift is None:
            empty = self._empty()
            self._drift = self._match.drift | ({"empty": empty} if empty else {})
        return self._drift

    def say(self, file_id: int) -> bool:
        """Note the file's drift as its feed's; whether that is news, to be logged after the commit.

        Only news is written: files of one feed that are loaded at once wait for each other when the feed changes, from
        here to the commit.
        """
        if self.drift() == self._said:
            return False
        return bool(self._run("load/drift.say", self._match.contract.name, file_id, self.drift_text))

    @property
    def words(self) -> str:
        """How the file looks, for the log."""
        drift = self.drift()
        return f"has drifted: {says(drift)}" if drift else "looks again as contract and earlier files let expect"

    @property
    def drift_text(self) -> str | None:
        """The drift as JSON; None when there is none."""
        return json.dumps(self.drift(), ensure_ascii=False) if self.drift() else None

    @property
    def filled_text(self) -> str:
        """How many rows have a value, as JSON."""
        return json.dumps({"rows": self._rows, **self._filled})

    def _empty(self) -> list[str]:
        if all(self._filled.values()):
            return []
        rows = self._run("load/drift.earlier_fill", self._match.contract.name) if self._rows else []
        earlier = [json.loads(filled) for (filled,) in rows]
        return emptied(self._filled, self._rows, earlier, self._said.get("empty", []))
