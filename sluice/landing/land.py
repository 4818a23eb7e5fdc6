"""Landing a file: the one way in, for the generator, `make load` and every DAG that fetches from elsewhere.

It is written under a name that is never taken, and renamed when it is whole and on disk. So the mover sees it whole or
not at all, whenever the process or the machine dies.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from sluice.base import permissions
from sluice.base.renaming import rename_if_free, sync_folder
from sluice.base.settings import Settings
from sluice.landing import predicate

_HIDDEN = ".landing-{}.part"
_LEFT_BEHIND_SECONDS = 24 * 3600


class NotLandedError(OSError):
    """The file is not landed, and nothing of it stays in the landing folder; the message says why."""


class Landed(NamedTuple):
    """A file that lies in the landing folder, with its size in bytes."""

    path: Path
    sha256: str
    bytes: int


def land(
    settings: Settings,
    name: str,
    blocks: Iterable[bytes | memoryview],
    *,
    before: Callable[[str, str], None] | None = None,
) -> Landed:
    """Land ``blocks``, one after the other, as a file named ``name``, or with a number when a file of that name waits.

    ``before`` is called with the final name and the sha256 before the mover can see the file. Raises NotLandedError
    when a file of this name is never taken, or the folder cannot be written; what ``blocks`` and ``before`` raise goes
    through. In each case nothing has landed.
    """
    check_name(name)
    with _explained(settings, name):
        if not settings.incoming_dir.is_dir():
            permissions.make_incoming(settings)
    _sweep(settings.incoming_dir)
    hidden = settings.incoming_dir / _HIDDEN.format(secrets.token_hex(8))
    try:
        sha256, size = _write(settings, name, hidden, blocks)
        for free in _free_names(settings.incoming_dir, name):
            if before is not None:
                before(free, sha256)
            with _explained(settings, name):
                if rename_if_free(hidden, settings.incoming_dir / free):
                    sync_folder(settings.incoming_dir)
                    return Landed(settings.incoming_dir / free, sha256, size)
    finally:
        with contextlib.suppress(OSError):  # it has its name, or there was no folder for it
            hidden.unlink()
    raise AssertionError("there is always another number")


def land_file(settings: Settings, name: str, path: Path) -> Landed:
    """Land the whole file at ``path``, of this user and on the landing folder's file system, by renaming it.

    Raises NotLandedError as ``land`` does, FileNotFoundError when there is no such file.
    """
    check_name(name)
    with path.open("rb") as file:
        sha256, size = hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size
    for free in _free_names(settings.incoming_dir, name):
        with _explained(settings, name, but=FileNotFoundError):
            if rename_if_free(path, settings.incoming_dir / free):
                sync_folder(settings.incoming_dir)
                return Landed(settings.incoming_dir / free, sha256, size)
    raise AssertionError("there is always another number")


def check_name(name: str) -> None:
    """Raise NotLandedError when a file of this name would never be taken."""
    if os.path.basename(name) != name or "\0" in name:
        raise NotLandedError(f"{name!r} is no name of a file: give it without folders")
    if look := predicate.look_at_name(name):
        raise NotLandedError(f"a file named {name!r} is never taken: {look.reason}")


def _write(settings: Settings, name: str, hidden: Path, blocks: Iterable[bytes | memoryview]) -> tuple[str, int]:
    """Their sha256 and size. Only what the disk refuses is explained: an error of ``blocks`` is their own."""
    digest, size = hashlib.sha256(), 0
    with _explained(settings, name):
        file = hidden.open("xb", buffering=0)
    with file:
        for block in blocks:
            with _explained(settings, name):
                rest = memoryview(block)
                while rest:
                    rest = rest[file.write(rest) :]
            digest.update(block)
            size += len(block)
        with _explained(settings, name):
            os.fsync(file.fileno())
    return digest.hexdigest(), size


@contextlib.contextmanager
def _explained(settings: Settings, name: str, but: type[OSError] | tuple[()] = ()) -> Iterator[None]:
    try:
        yield
    except but:
        raise
    except OSError as error:
        raise NotLandedError(
            f"{name!r} is not landed: {settings.incoming_dir} cannot be written ({error.strerror or error})"
        ) from error


def _free_names(incoming: Path, name: str) -> Iterator[str]:
    """Names that nothing has at the moment: shop.csv, shop-2.csv, … shop-2.csv.gz."""
    ending = next((end for end in predicate.ENDINGS if name.lower().endswith(end)), "")
    stem, ending = name[: len(name) - len(ending)], name[len(name) - len(ending) :]
    names = itertools.chain([name], (f"{stem}-{number}{ending}" for number in itertools.count(2)))
    return (free for free in names if not os.path.lexists(incoming / free))


def _sweep(incoming: Path) -> None:
    """Remove what killed processes left half-written, a day later."""
    for left in incoming.glob(_HIDDEN.format("*")):
        with contextlib.suppress(OSError):  # another one swept it, or it is another user's
            if left.lstat().st_mtime < time.time() - _LEFT_BEHIND_SECONDS:
                left.unlink()
