"""Commands that keep and bring back: backup, restore, and the folders after a restore."""

from __future__ import annotations

import argparse
import contextlib
import shlex
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sluice.base import database
from sluice.cli.command import argument, command
from sluice.cli.shared import here, reached, say
from sluice.landing import folders
from sluice.loading import restore
from sluice.loading.backup import ENDING, contracts_of, dump, newest
from sluice.running import embedded
from sluice.running.launcher import Launcher
from sluice.running.pipeline import InstanceError, Pipeline


@command(
    "backup",
    "dump the pipeline's database; it may run meanwhile",
    argument("file", type=Path, nargs="?", help="default: backups/sluice-<now>.dump"),
)
def backup(pipeline: Pipeline, parsed: argparse.Namespace) -> int:
    """Nothing is overwritten."""
    target, contracts = backup_file(pipeline.settings.backup_dir, parsed.file), pipeline.settings.contracts_dir
    with _server(pipeline) as server:
        dump(server.url(restore.LIVING), server.bin_dir / "pg_dump", target, contracts, say)
    size, again = target.stat().st_size, shlex.quote(f"FILE={target}")
    print(f"the backup is {target}, {size:,} bytes: `make restore {again}` goes back to it")
    print(f"the contracts are beside it, in {contracts_of(target)}; the landed files stay where they are")
    return 0


def backup_file(folder: Path, given: Path | None) -> Path:
    """Where the backup goes: ``given``, or a new name in that folder, or in ``folder`` without any.

    Raises InstanceError for one that exists.
    """
    name = f"sluice-{time.strftime('%Y%m%d-%H%M%S')}{ENDING}"
    target = given or folder / name
    target = target / name if target.is_dir() else target
    if target.exists():
        raise InstanceError(f"{target} exists already: name another file, or delete it first")
    return target


@command(
    "restore",
    "go back to a backup; what landed since then lands again",
    argument("file", type=Path),
    argument("--copy-sealed", action="store_true", help="copy rows over whose files are gone"),
    argument(
        "--discard-replaced",
        action="store_true",
        help="go on although the database that the last restore replaced alone has rows of files that are gone",
    ),
)
def restore_backup(pipeline: Pipeline, parsed: argparse.Namespace) -> int:
    """The pipeline stands still meanwhile; tell what became of files that are newer than the backup."""
    if not parsed.file.is_file():
        raise InstanceError(f"{parsed.file} is not a file: name a backup that `make backup` made")
    _check_that_it_stands_still(pipeline)
    with _server(pipeline) as server:
        restored = restore.restore(
            pipeline.settings,
            server.url,
            _owner_url(pipeline, server),
            server.bin_dir / "pg_restore",
            parsed.file,
            print,
            copy_sealed=parsed.copy_sealed,
            discard_replaced=parsed.discard_replaced,
        )
    return _tell(restored.lines())


@command(
    "restore-drill",
    "restore the last backup beside the living database, recount it, report, and clean up",
    argument("file", type=Path, nargs="?", help="default: the newest in SLUICE_BACKUP_FOLDER"),
    argument("--json", action="store_true", help="as JSON"),
)
def restore_drill(pipeline: Pipeline, parsed: argparse.Namespace) -> int:
    """Exit code 0: it could be restored and all rows are accounted for, 1: not so. The pipeline may run meanwhile."""
    from sluice.duty import drill  # its imports are heavy, and only needed here

    folder = pipeline.settings.backup_dir
    backup = parsed.file or newest(folder)
    if backup is None or not backup.is_file():
        raise InstanceError(f"{parsed.file or folder} holds no backup: `make backup` makes one")
    # What the launcher says of a server that it starts for this is no part of the answer either.
    with contextlib.redirect_stdout(sys.stderr), _server(pipeline) as server:
        url, owner_url, program = server.url, _owner_url(pipeline, server), server.bin_dir / "pg_restore"
        done = drill.drill(pipeline.settings, url, owner_url, program, backup, _tell_aside)
    if parsed.json:
        print(done.as_json())
    else:
        _tell(done.lines())
    return 0 if done.holds else 1


@command("copy-sealed", "after a restore: copy rows over whose files are gone")
def copy_sealed(pipeline: Pipeline, parsed: argparse.Namespace) -> int:
    """From the database that the restore replaced."""
    _check_that_it_stands_still(pipeline)
    with _server(pipeline) as server:
        copied = restore.copy_sealed(pipeline.settings, server.url, _owner_url(pipeline, server))
    return _tell(copied.lines())


@command("reland", "after a restore with other tools: land again what the ledger does not know")
def reland(pipeline: Pipeline, parsed: argparse.Namespace) -> int:
    """Doing it again changes nothing."""
    with database.connect(reached(pipeline).owner_dsn, application_name="sluice-reland") as ledger:
        return _tell(restore.reland(pipeline.settings, ledger).lines())


@command("adopt", "make the folders processing and archive, as they are now, this pipeline's own")
def adopt(pipeline: Pipeline, parsed: argparse.Namespace) -> int:
    """For folders that were moved or brought back by other tools."""
    with database.connect(reached(pipeline).owner_dsn, application_name="sluice-adopt") as ledger:
        return _tell(folders.adopt(pipeline.settings, ledger))


def _tell_aside(line: str) -> None:
    """Progress, which is no part of the answer."""
    print(line, file=sys.stderr, flush=True)


def _tell(lines: Iterable[str]) -> int:
    for line in lines:
        say(line)
    return 0


def _check_that_it_stands_still(pipeline: Pipeline) -> None:
    if (running := pipeline.running()) is not None:
        raise InstanceError(f"the pipeline runs (pid {running.pid}): `make down` first, then this, then `make up`")


def _owner_url(pipeline: Pipeline, server: embedded.Server) -> restore.Url:
    password = pipeline.secrets()["sluice_owner"]
    return lambda name: server.url(name, "sluice_owner", password)


@contextmanager
def _server(pipeline: Pipeline) -> Iterator[embedded.Server]:
    """The embedded server: the one that runs, or one for as long as it takes."""
    if pipeline.settings.database_url:
        raise InstanceError(
            "the database is on your own server: back it up and restore it with that server's tools; after a restore, "
            "with the pipeline stopped, `python -m sluice reland` lands again what the ledger does not know"
        )
    if (running := pipeline.running()) is not None:
        folder = embedded.binaries(pipeline.settings.postgres_bin)
        yield embedded.Server(here(pipeline).postgres_dir, folder, port=running.postgres_port)
        return
    launcher = Launcher(here(pipeline))
    with launcher.only_database(with_airflow=False):
        yield launcher.server
