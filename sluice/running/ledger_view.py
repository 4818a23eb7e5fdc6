"""The ledger as the launcher watches it."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import psycopg

from sluice.base import database, queries
from sluice.ledger import leases
from sluice.running import status


class LedgerView:
    """Asks the ledger what it says; a connection that breaks is made anew at the next look."""

    def __init__(self, url: str, since: datetime) -> None:
        self.url = url
        self.cost = 0.0
        self.connection: psycopg.Connection[dict[str, Any]] | None = None
        self.since = since

    def look(self) -> dict[str, Any] | None:
        """What the ledger says; None when it does not answer."""
        begun = time.monotonic()
        report: dict[str, Any] | None = self._ask(lambda each: status.ledger_report(each, everything=False))
        self.cost = time.monotonic() - begun
        return report

    def first_result(self, generator: bool) -> str | None:
        """The sentence that says that the pipeline works: a file was loaded; without a generator, a stream lives."""
        if generator:
            row = self._ask(lambda each: queries.one(each, "ledger/status.loaded_since", since=self.since))
            return f"the first file is loaded: {row['name']}, {row['rows_loaded']:,} rows" if row else None
        row = self._ask(leases.living)
        return f"the stream is alive (epoch {row['epoch']})" if row and row["started_at"] else None

    def _ask(self, question: Any) -> Any:
        try:
            if self.connection is None or self.connection.closed:
                self.connection = database.connect(self.url, application_name="sluice-launcher")
            return question(self.connection)
        except psycopg.Error:
            if self.connection is not None:
                self.connection.close()
            return None
