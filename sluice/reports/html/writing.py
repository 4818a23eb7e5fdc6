"""Writes the page of the reports and its CSV files: dated, rewritten at each refresh of the day, and as latest.html."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg

from sluice.base.settings import Settings
from sluice.reports.html import keeping, model, reading, rendering, spreadsheets
from sluice.reports.html.folder import Folder, opened
from sluice.reports.html.model import CsvFile
from sluice.reports.html.reading import Snapshot
from sluice.reports.html.sections import CSV_FILES


class PageError(RuntimeError):
    """The page was written, but some of it could not be read; the message says what and why."""


@dataclass(frozen=True)
class Written:
    """Where the page is, what went because it was too old, and what could not be read: why, by query."""

    page: Path
    csv_files: int
    deleted: tuple[str, ...]
    failures: dict[str, str]

    def lines(self) -> list[str]:
        """For a task log."""
        said = [f"{self.page}: written, with {self.csv_files} CSV files in {self.page.with_suffix('')}"]
        return [*said, *(f"{name}: deleted, older than SLUICE_KEEP_REPORT_DAYS" for name in self.deleted)]

    def check(self) -> None:
        """Raises PageError when some of the page could not be read."""
        if self.failures:
            what = "; ".join(f"{name}: {why}" for name, why in self.failures.items())
            raise PageError(f"{self.page} lacks what could not be read: {what}")


def write(settings: Settings, connection: psycopg.Connection[Any]) -> Written:
    """Write all of it, of what is published now; ``connection`` reads, and is in no transaction.

    What cannot be read is said on the page, which has the rest. Raises psycopg.Error when the connection is lost,
    FolderError or another OSError when the folder cannot be written.
    """
    with opened(settings) as folder:
        with reading.snapshot(connection) as snapshot:
            refreshed = snapshot.refreshed()
            day = model.day_of(refreshed)
            page = model.make(snapshot, refreshed)
            files = () if refreshed is None else tuple(_csv_files(snapshot, folder, day))
        rendered = rendering.html(replace(page, csv_files=files))
        for name in (keeping.page_name(day), keeping.LATEST):
            with folder.replacing(name) as file:
                file.write(rendered)
        deleted = keeping.tidy(folder, day, settings.keep_report_days)
        there = sum(not file.error for file in files)
        return Written(folder.path / keeping.page_name(day), there, tuple(deleted), snapshot.failures)


def _csv_files(snapshot: Snapshot, folder: Folder, day: str) -> Iterator[CsvFile]:
    with folder.inner(keeping.folder_name(day)) as inner:
        for name, (query, says) in CSV_FILES.items():
            try:
                with inner.replacing(f"{name}.csv") as file, closing(snapshot.table(query)) as table:
                    rows, is_cut = spreadsheets.write(file, table, reading.CSV_ROWS)
            except psycopg.Error as error:
                yield CsvFile(name, says, 0, error=snapshot.note(query, error))
                continue
            yield CsvFile(name, says, rows, is_cut)
