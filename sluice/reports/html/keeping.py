"""How long pages stay: SLUICE_KEEP_REPORT_DAYS. Only what is surely ours is deleted, each file by itself."""

from __future__ import annotations

import re
import time
from datetime import date

from sluice.reports.html.folder import Folder, FolderError
from sluice.reports.html.sections import CSV_FILES
from sluice.reports.html.spreadsheets import BYTE_ORDER_MARK

LATEST = "latest.html"
_NAME = re.compile(r"reports-(\d{4}-\d\d-\d\d)(\.html)?")
# What a writer that was killed left is not that of one who still writes.
_ABANDONED_SECONDS = 3600.0


def page_name(day: str) -> str:
    """The page of a day, ``YYYY-MM-DD``."""
    return f"reports-{day}.html"


def folder_name(day: str) -> str:
    """The folder of the CSV files of a day."""
    return f"reports-{day}"


def mark(day: str) -> bytes:
    """What the page of a day begins with, and no file of anybody else."""
    return f"<!doctype html>\n<!-- The page of Sluice's reports of {day} -->\n".encode()


def tidy(folder: Folder, today: str, keep_days: float) -> list[str]:
    """Delete pages, and their CSV files, of more than ``keep_days`` days before ``today``; the names of those deleted.

    A file or a folder of somebody else stays, and so does what somebody else put into a folder of ours. Raises OSError.
    """
    _sweep(folder)
    deleted = []
    for name in folder.names():
        day = _day(name)
        if day is None or (date.fromisoformat(today) - day).days <= keep_days:
            continue
        if name.endswith(".html"):
            if folder.begins_with(name, mark(day.isoformat())):
                folder.delete(name)
                deleted.append(name)
        elif _delete_csv_files(folder, name):
            deleted.append(name)
    return deleted


def _day(name: str) -> date | None:
    found = _NAME.fullmatch(name)
    try:
        return date.fromisoformat(found[1]) if found else None
    except ValueError:
        return None


def _delete_csv_files(folder: Folder, name: str) -> bool:
    try:
        with folder.inner(name, make=False) as inner:
            _sweep(inner)
            for file in CSV_FILES:
                if inner.begins_with(f"{file}.csv", BYTE_ORDER_MARK):
                    inner.delete(f"{file}.csv")
    except (FolderError, FileNotFoundError):  # a link, or a file of that name: not ours
        return False
    return folder.delete_folder(name)


def _sweep(folder: Folder) -> None:
    for name in folder.left_behind(time.time() - _ABANDONED_SECONDS):
        folder.delete(name)
