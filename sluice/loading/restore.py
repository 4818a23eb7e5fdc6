"""Backup and restore. A restored ledger does not know what landed after the backup: those files land again.

A backup is a dump (pg_dump's custom format) of the pipeline's database; the files themselves stay where they are, in
processing and in the archive. A restore reads the dump into a database beside the living one, and only when that has
worked do the two change places, in one step. Airflow's own database, its history of runs, is left as it is.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from sluice.base import database, queries
from sluice.base.permissions import make_folder
from sluice.base.renaming import rename_if_free
from sluice.base.settings import Settings
from sluice.landing import folders, incoming, mover
from sluice.ledger import file_names, migrate, roles
from sluice.loading import left_behind
from sluice.loading.backup import RestoreError, Say, bring_contracts, read_into
from sluice.reports import tables

Connection = psycopg.Connection[dict[str, Any]]
Url = Callable[[str], str]

LIVING, SIDE, REPLACED = "sluice", "sluice_restoring", "sluice_replaced"
_PAGE = 1000


@dataclass
class Relanded:
    """What became of the files whose ledger is older than they are: names in incoming, and file_ids."""

    returned: list[str] = field(default_factory=list)
    put_back: list[int] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    copied: left_behind.Copied | None = None
    left: left_behind.LeftBehind = field(default_factory=left_behind.LeftBehind)
    contracts: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """Sentences for people."""
        said = [
            f"{len(self.returned):,} files land again, {len(self.put_back):,} were put back where the ledger has them"
        ]
        if self.kept:
            said.append(f"left in the archive, because they had been unloaded: {', '.join(self.kept[:20])}")
        if self.missing:
            said.append(f"waiting in the ledger, but on no disk: {', '.join(self.missing[:20])}; land them again")
        return said + self.contracts + (self.copied.lines() if self.copied else []) + self.left.lines()


def restore(
    settings: Settings,
    url: Url,
    owner_url: Url,
    program: Path | str,
    backup: Path,
    say: Say,
    *,
    copy_sealed: bool = False,
    discard_replaced: bool = False,
) -> Relanded:
    """Replace the pipeline's database by ``backup``, then land again what it does not know. Nothing may run meanwhile.

    ``url`` and ``owner_url`` make the superuser's and the owner's URL of a database; ``program`` is pg_restore.
    ``copy_sealed`` copies the rows of files over whose bytes are gone. Raises RestoreError when an earlier restore's
    replaced database is the only one that has rows, unless ``discard_replaced``.
    """
    begin(settings, url, discard_replaced=discard_replaced)
    read_into(url(SIDE), program, backup, say)
    relanded = finish(settings, url, owner_url, say, copy_sealed=copy_sealed)
    relanded.contracts = bring_contracts(backup, settings.contracts_dir)
    return relanded


def begin(settings: Settings, url: Url, *, discard_replaced: bool = False) -> None:
    """An empty database, for pg_restore to fill. Raises RestoreError as ``restore`` does."""
    if not discard_replaced:
        _keep_what_only_the_replaced_has(settings, url)
    with database.connect(url("postgres"), application_name="sluice-restore") as connection:
        queries.run(connection, "restore.drop_side")
        roles.make_database(connection, SIDE, "sluice_owner")


def _keep_what_only_the_replaced_has(settings: Settings, url: Url) -> None:
    """A restore deletes what the one before it had replaced."""
    if not (_exists(url, REPLACED) and _exists(url, LIVING)):
        return
    with database.connect(url(LIVING)) as ledger, database.connect(url(REPLACED)) as replaced:
        lost = left_behind.lost_files(settings, ledger, replaced)
    if lost:
        raise RestoreError(
            f"nothing was changed: {REPLACED}, which an earlier restore has left and this one would delete, alone has "
            f"the rows of {len(lost):,} files whose bytes are gone: `make copy-sealed` copies them over; to let them "
            "go, restore with DISCARD_REPLACED=1"
        )


def copy_sealed(settings: Settings, url: Url, owner_url: Url) -> left_behind.Copied:
    """Copy the rows of files that a restore could not bring back from the database that it replaced.

    Nothing may run meanwhile. Raises RestoreError when there is no such database.
    """
    if not _exists(url, REPLACED):
        raise RestoreError(f"there is no database {REPLACED}: no restore has left one, or it was deleted since")
    with _patient(owner_url(LIVING)) as ledger, _patient(url(REPLACED)) as replaced:
        reland(settings, ledger, replaced)
        return left_behind.copy(settings, ledger, replaced)


def _patient(url: str) -> Connection:
    """A connection whose transactions may idle for long: of two databases, one waits while the other works."""
    return database.connect(url, application_name="sluice-restore", idle_in_transaction_session_timeout="0")


def finish(settings: Settings, url: Url, owner_url: Url, say: Say, *, copy_sealed: bool = False) -> Relanded:
    """Bring what was restored up to date, put it in the place of the living database, and land files again.

    Raises RestoreError, with nothing changed, when the restored database holds no ledger.
    """
    with database.connect(url(SIDE)) as side:
        if not queries.row(side, "restore.is_restored")["is_restored"]:
            raise RestoreError(
                f"database {SIDE} holds no ledger: it is not a backup of Sluice, or was not read completely"
            )
    applied = migrate.migrate(owner_url(SIDE))
    tables.make(owner_url(SIDE))
    say(f"the backup is read, {len(applied)} migrations were applied to it")
    with database.connect(url(LIVING)) as living:
        marks, identity = queries.row(living, "restore.marks"), folders.identity(living)
    with database.connect(url(SIDE)) as side:
        queries.row(side, "restore.go_on_after", **marks)
        # The folders stay where they are, and so does the id that they carry.
        folders.take_over(side, identity)
        _folders_are_there(settings, side)
        queries.run(side, "restore.end_streams")
    _change_places(url)
    say(
        f"the restored database is in place; what it replaces is kept as {REPLACED}: "
        f"{settings.keep_replaced_hours:g} hours at least, or until the next restore"
    )
    with _patient(owner_url(LIVING)) as ledger, _patient(url(REPLACED)) as replaced:
        keep_seals(ledger, replaced)
        relanded = reland(settings, ledger, replaced)
        relanded.left = left_behind.look(settings, ledger, replaced)
        if copy_sealed:
            relanded.copied = left_behind.copy(settings, ledger, replaced)
            relanded.left.files = left_behind.lost_files(settings, ledger, replaced)
            relanded.missing = _missing(settings, ledger)
    return relanded


def reland(settings: Settings, ledger: Connection, replaced: Connection | None = None) -> Relanded:
    """Compare processing and the archive with the ledger: a file it does not know returns to incoming, one it has
    elsewhere goes there.

    ``replaced`` is the ledger that was there before, when there is one: it knows under which name a file had landed,
    and which were unloaded since: those stay where they are. Doing it again changes nothing.
    """
    _folders_are_there(settings, ledger)
    relanded = Relanded()
    with mover.only_mover(ledger, 60) as alone:
        if not alone:
            raise RestoreError("files are being moved: stop the pipeline first, a restore needs it to stand still")
        for paths in _pages(_files(settings)):
            _reland_page(settings, ledger, replaced, paths, relanded)
        _go_on_after_names(settings, ledger)
    relanded.missing = _missing(settings, ledger)
    return relanded


def _missing(settings: Settings, ledger: Connection) -> list[str]:
    return [
        f"{row['name']} (file {row['file_id']})"
        for row in queries.all(ledger, "restore.waiting")
        if not (settings.home_dir / row["path"]).exists()
    ]


def _folders_are_there(settings: Settings, ledger: Connection) -> None:
    try:
        folders.check(settings, ledger)
    except folders.FoldersError as error:
        raise RestoreError(f"{error}; then restore again") from error


def _reland_page(
    settings: Settings, ledger: Connection, replaced: Connection | None, paths: list[Path], relanded: Relanded
) -> None:
    names = [path.name for path in paths]
    known, was = file_names.known(ledger, names), file_names.known(replaced, names) if replaced else {}
    for path in paths:
        row, before = known.get(path.name), was.get(path.name)
        if row is not None:
            _put_back(settings, path, row, relanded)
        elif before is not None and before["state"] == "unloaded":
            relanded.kept.append(f"{before['name']} (file {before['file_id']})")
        else:
            if replaced is not None and before is not None:
                _keep_arrival(ledger, replaced, before["file_id"])
            relanded.returned.append(_return(settings, path, before))


def _keep_arrival(ledger: Connection, replaced: Connection, file_id: int) -> None:
    if (arrival := queries.one(replaced, "restore.arrival", file_id=file_id)) is not None:
        queries.run(ledger, "restore.keep_arrival", **arrival)


def _put_back(settings: Settings, path: Path, row: Mapping[str, Any], relanded: Relanded) -> None:
    target = settings.home_dir / row["path"]
    if target == path or row["path"].startswith("incoming/"):
        return
    make_folder(target.parent, settings)
    if rename_if_free(path, target):
        relanded.put_back.append(row["file_id"])


def _return(settings: Settings, path: Path, before: Mapping[str, Any] | None) -> str:
    """Back to incoming, under the name that it landed with if that is known; nothing is overwritten."""
    name = before["name"] if before is not None else None
    return incoming.return_as(settings, path, file_names.to_land_as(name, path.name))


def _files(settings: Settings) -> Iterator[Path]:
    """Every file of ours in processing and the archive, the oldest archive first."""
    folders = [settings.processing_dir, *sorted(settings.archive_dir.glob("*/*"), key=lambda folder: folder.name)]
    for folder in folders:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
            yield from (folder / name for name in sorted(names) if file_names.parse(name))


def _pages(paths: Iterator[Path]) -> Iterator[list[Path]]:
    page: list[Path] = []
    for path in paths:
        page.append(path)
        if len(page) == _PAGE:
            yield page
            page = []
    if page:
        yield page


def _go_on_after_names(settings: Settings, ledger: Connection) -> None:
    """A file_id that stands in a name on disk is not given again, even when no ledger remembers it."""
    names = (file_names.parse(path.name) for path in _files(settings))
    highest = max((name.file_id for name in names if name), default=0)
    queries.row(ledger, "restore.go_on_after", epoch=0, file_id=highest)


def keep_seals(ledger: Connection, replaced: Connection) -> None:
    """Tallies that were verified in ``replaced`` before their files were deleted stay so in ``ledger``."""
    with ledger.transaction():
        for row in queries.all(replaced, "restore.sealed_since"):
            queries.run(ledger, "restore.keep_seal", **row)


def _change_places(url: Url) -> None:
    with database.connect(url("postgres"), application_name="sluice-restore") as connection:
        queries.run(connection, "restore.drop_replaced")
        queries.run(connection, "restore.forbid_connections")
        queries.run(connection, "restore.end_sessions")
        with connection.transaction():
            queries.run(connection, "restore.set_aside")
            queries.run(connection, "restore.put_in_place")
        queries.run(connection, "restore.allow_connections")
        connection.execute(queries.row(connection, "restore.note_replaced_statement")["statement"])
    # The writer may drop it when its time has come, and not change it: what copies rows over reads it as superuser.
    with database.connect(url(REPLACED), application_name="sluice-restore") as replaced:
        queries.run(replaced, "restore.keep_schema_public")
        queries.run(replaced, "restore.hand_over_replaced")
        queries.run(replaced, "restore.let_owner_connect")


def _exists(url: Url, name: str) -> bool:
    with database.connect(url("postgres"), application_name="sluice-restore") as connection:
        return bool(queries.row(connection, "restore.exists", database=name)["is_there"])
