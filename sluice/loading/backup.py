"""Backups: a dump of the pipeline's database, and beside it the contracts that its rows were judged by.

``x.dump`` is pg_dump's custom format; ``x.dump.contracts.tar`` holds the folder of contracts as it was. The files
themselves stay where they are, in processing and in the archive.
"""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from sluice.ledger import contract_waits

Say = Callable[[str], None]

# Where the reader of earlier releases built reports; their backups may hold it. A restore would run what the reader has
# written there (a check of a table, say) as superuser, and nothing in it is of use.
WITHOUT_WORKSHOP = "--exclude-schema=report_staging"
ENDING = ".dump"
# Those of the schedule go when newer ones are there; what somebody has made by hand stays.
SCHEDULED = "scheduled-"
PROGRESS_SECONDS = 5.0


class RestoreError(RuntimeError):
    """The backup or the restore cannot be done, and nothing was changed; the message says why and what to do."""


def silent(sentence: str) -> None:
    """For whom progress is nothing."""


def contracts_of(backup: Path) -> Path:
    """Where the contracts of a backup are."""
    return backup.with_name(f"{backup.name}.contracts.tar")


def dump(url: str, program: Path | str, target: Path, contracts: Path | None = None, say: Say = silent) -> None:
    """Write a backup of the database of ``url`` to ``target``; the pipeline may run meanwhile.

    ``contracts`` is the folder of the contracts, which are kept beside it. Raises RestoreError when it cannot be made
    or written; no half of it stays.
    """
    making, begun = target.with_name(f".{target.name}.part"), time.monotonic()
    beside = contracts_of(making)

    def progress() -> str:
        return f"{making.stat().st_size / 1e6:,.1f} MB written in {time.monotonic() - begun:.0f} s …"

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with making.open("xb") as file:
            run([str(program), "--format=custom", WITHOUT_WORKSHOP], url, lambda: say(progress()), stdout=file)
        if contracts is not None:
            _keep_contracts(contracts, beside)
            beside.replace(contracts_of(target))
        making.replace(target)
    except OSError as error:
        raise RestoreError(
            f"{error.filename or target} cannot be written ({error.strerror}): no backup was made"
        ) from error
    finally:
        for half in (making, beside):
            with contextlib.suppress(OSError):
                half.unlink()


def read_into(url: str, program: Path | str, backup: Path, say: Say = silent) -> None:
    """Read a backup into the empty database of ``url``, in one transaction. Raises RestoreError."""
    name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
    options = ["--exit-on-error", "--single-transaction", WITHOUT_WORKSHOP, f"--dbname={name}"]
    begun, size = time.monotonic(), max(backup.stat().st_size, 1)
    with backup.open("rb") as file:

        def progress() -> str:
            # The program reads through the same open file, and so moves this position.
            share = os.lseek(file.fileno(), 0, os.SEEK_CUR) / size
            what = "the rows are read, indexes are made" if share > 0.99 else f"{share:.0%} of the backup read"
            return f"{what}, {time.monotonic() - begun:.0f} s …"

        run([str(program), *options], url, lambda: say(progress()), stdin=file)


def run(command: list[str], url: str, tick: Callable[[], None], **streams: Any) -> None:
    """Run a program of PostgreSQL to its end, with ``tick`` every few seconds; the password travels in the environment.

    Raises RestoreError with what it said when it fails.
    """
    parts = psycopg.conninfo.conninfo_to_dict(url)
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE"}
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
    environment |= {names[key]: str(value) for key, value in parts.items() if key in names}
    with tempfile.TemporaryFile() as errors:
        with subprocess.Popen(command, env=environment, stderr=errors, **streams) as process:
            try:
                while (code := _wait(process)) is None:
                    tick()
            except BaseException:
                process.kill()
                raise
        if code != 0:
            errors.seek(0)
            said = errors.read().decode(errors="replace").strip()[-2000:]
            raise RestoreError(f"{Path(command[0]).name} failed, and nothing was changed: {said}")


def _wait(process: subprocess.Popen[bytes]) -> int | None:
    try:
        return process.wait(PROGRESS_SECONDS)
    except subprocess.TimeoutExpired:
        return None


def newest(folder: Path) -> Path | None:
    """The backup in ``folder`` that was made last; None without any."""
    found = [path for path in folder.glob(f"*{ENDING}") if path.is_file()]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def trim(folder: Path, keep: int) -> list[Path]:
    """Delete all but the newest ``keep`` backups of the schedule, and their contracts; return which."""
    made = sorted(folder.glob(f"{SCHEDULED}*{ENDING}"), key=lambda path: path.stat().st_mtime)
    gone = made[:-keep]
    for path in gone:
        path.unlink()
        contracts_of(path).unlink(missing_ok=True)
    return gone


def _keep_contracts(folder: Path, target: Path) -> None:
    with tarfile.open(target, "x") as kept:
        for name, text in contract_waits.texts(folder).items():
            if isinstance(text, bytes):
                about = tarfile.TarInfo(name)
                about.size = len(text)
                kept.addfile(about, io.BytesIO(text))


def kept_contracts(backup: Path) -> dict[str, bytes] | None:
    """The contracts of a backup: the text of each by its file's name; None when it came without.

    Raises RestoreError when they cannot be read.
    """
    try:
        with tarfile.open(contracts_of(backup)) as kept:
            files = [about for about in kept if about.isfile() and Path(about.name).name == about.name]
            return {about.name: opened.read() for about in files if (opened := kept.extractfile(about))}
    except FileNotFoundError:
        return None
    except (OSError, tarfile.TarError) as error:
        raise RestoreError(f"{contracts_of(backup)} cannot be read ({error})") from error


def bring_contracts(backup: Path, folder: Path) -> list[str]:
    """Put contracts back that the folder lacks; one that differs stays as it is today. In sentences, what was done."""
    try:
        kept = kept_contracts(backup)
        if kept is None:
            return [f"no contracts came with the backup ({contracts_of(backup).name}): those in {folder} stay"]
        today = contract_waits.texts(folder)
        lacking = sorted(kept.keys() - today.keys())
        for name in lacking:
            (folder / name).write_bytes(kept[name])
    except (OSError, RestoreError) as error:
        return [f"the backup's contracts were not brought back ({error}): they are in {contracts_of(backup)}"]
    differing = sorted(name for name in kept.keys() & today.keys() if kept[name] != today[name])
    said = [f"contracts brought back: {', '.join(lacking)}"] if lacking else []
    if differing:
        said.append(
            f"contracts that have changed since the backup stay as they are today: {', '.join(differing)}; as they "
            f"were, they are in {contracts_of(backup)}"
        )
    return said
