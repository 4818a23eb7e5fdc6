"""Whether the folders are there: processing and the archive each carry a marker, a file with the ledger's id.

A folder without it is an empty mount point, or belongs to another pipeline. Then everything waits: nothing is moved,
rejected, tidied or deleted. ``incoming`` carries none: a file that is not seen there is only taken later.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg

from sluice.base import queries
from sluice.base.permissions import make_folder, tighten
from sluice.base.renaming import replacing
from sluice.base.settings import Settings
from sluice.ledger import archive

Connection = psycopg.Connection[dict[str, Any]]

MARKER = ".sluice-ledger"
_LONGEST = 100
_NEWEST = 20


class FoldersError(RuntimeError):
    """A folder of the pipeline is not there, or is not this pipeline's; the message names it and the remedy."""


class AdoptError(RuntimeError):
    """Folders are not adopted because nothing is wrong with them; the message says so."""


def marked_folders(settings: Settings) -> tuple[Path, Path]:
    """The folders that carry a marker."""
    return settings.processing_dir, settings.archive_dir


def check(settings: Settings, connection: Connection) -> None:
    """Raise FoldersError unless the folders are this ledger's; those of a ledger that never had any are marked now."""
    if queries.row(connection, "ledger/folders.identity")["folders_marked_at"] is None:
        _mark_first(settings, connection)
    if why := problem(settings, connection):
        raise FoldersError(why)


def problem(settings: Settings, connection: Connection) -> str:
    """What is wrong with the folders, and the remedy; empty when nothing is. Changes nothing."""
    row = queries.row(connection, "ledger/folders.identity")
    return why_not_ours(settings, row["ledger_id"])


def why_not_ours(settings: Settings, ledger_id: str) -> str:
    """What is wrong with the folders for the ledger of this id; empty when nothing is."""
    return next(filter(None, (_why_not(folder, ledger_id) for folder in marked_folders(settings))), "")


def is_ours(folder: Path, ledger_id: str) -> bool:
    """Whether ``folder`` carries the marker of the ledger of this id."""
    return not _why_not(folder, ledger_id)


def identity(connection: Connection) -> dict[str, Any] | None:
    """The ledger's ``ledger_id`` and ``folders_marked_at``; None of a ledger from before it had them."""
    has_identity = queries.row(connection, "ledger/folders.has_identity")["has_identity"]
    return queries.one(connection, "ledger/folders.identity") if has_identity else None


def take_over(connection: Connection, identity: dict[str, Any] | None) -> None:
    """Give the ledger of ``connection`` the identity of the one whose place it takes."""
    if identity is not None:
        queries.run(connection, "ledger/folders.take_over", **identity)


def adopt(settings: Settings, connection: Connection) -> list[str]:
    """Make the folders as they are now this ledger's; what was done, and which landed files they lack.

    Raises AdoptError when they are already: a marker is not renewed for nothing.
    """
    was = problem(settings, connection)
    if not was:
        raise AdoptError("nothing is wrong with the folders: they carry this ledger's marker, and nothing was changed")
    with connection.transaction():
        _mark(settings, connection)
    said = [f"adopted: {folder} is a folder of this pipeline now" for folder in marked_folders(settings)]
    waiting = queries.all(connection, "restore.waiting")
    lacking = [row for row in waiting if not archive.where(settings.home_dir, row["path"]).exists()]
    if lacking:
        names = ", ".join(f"{row['name']} (file {row['file_id']})" for row in lacking[:20])
        said.append(f"{len(lacking):,} landed files are in neither folder and will be rejected as gone: {names}")
    return said


def _why_not(folder: Path, ledger_id: str) -> str:
    remedy = (
        "nothing is moved, loaded, rejected or deleted until it is back, and then everything goes on by itself: mount "
        "it; or, when it is a new folder on purpose, `make adopt`"
    )
    try:
        found = _read(folder / MARKER)
    except (FileNotFoundError, NotADirectoryError):
        return f"{folder} lacks the pipeline's marker {MARKER}, as an empty mount point does: {remedy}"
    except OSError as error:
        return f"{folder} cannot be read ({error.strerror}): {remedy}"
    if found != ledger_id:
        return f"{folder} is the folder of another ledger ({found!r}, this one is {ledger_id}): {remedy}"
    return ""


def _read(marker: Path) -> str:
    with marker.open(encoding="utf-8", errors="replace") as file:
        return file.read(_LONGEST).strip()


def _mark_first(settings: Settings, connection: Connection) -> None:
    """Mark the folders of a new ledger, and once those of one that had no markers yet, if its files are there."""
    with connection.transaction():
        row = queries.row(connection, "ledger/folders.lock_identity")
        foreign = [folder for folder in marked_folders(settings) if _foreign(folder, row["ledger_id"])]
        if row["folders_marked_at"] is None and not foreign and _has_its_files(settings, connection):
            _mark(settings, connection)


def _foreign(folder: Path, ledger_id: str) -> bool:
    return (folder / MARKER).exists() and not is_ours(folder, ledger_id)


def _has_its_files(settings: Settings, connection: Connection) -> bool:
    """Whether one of the newest files lies where the ledger says, or there is none that should."""
    paths = [row["path"] for row in queries.all(connection, "ledger/folders.newest_paths", most=_NEWEST)]
    places = [(settings.home_dir / path, settings.processing_dir / Path(path).name) for path in paths]
    return not paths or any(place.exists() for both in places for place in both)


def _mark(settings: Settings, connection: Connection) -> None:
    row = queries.row(connection, "ledger/folders.lock_identity")
    for folder in marked_folders(settings):
        try:
            make_folder(folder, settings)
            with replacing(folder / MARKER) as file:  # for good: after a power cut the ledger must not know more
                file.write(f"{row['ledger_id']}\n".encode())
            tighten(folder / MARKER, settings.file_mode)
        except OSError as error:
            raise FoldersError(f"{folder} cannot be written ({error.strerror}): give this user permission") from error
    queries.run(connection, "ledger/folders.note_marked")
