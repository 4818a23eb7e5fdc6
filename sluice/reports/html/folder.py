"""The folder of the pages, held open: what is written or deleted in it is in this very folder, through no link.

Whoever else may write there could put a link in the place of a folder or a page, so that we write or delete elsewhere.
Files are made under a hidden name of their own and renamed, so that whoever opens a page has all of it.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from sluice.base import permissions
from sluice.base.settings import Settings

_HIDDEN = re.compile(r"\.[\w.-]+\.[0-9a-f]{8}\.part")
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class FolderError(OSError):
    """Something in the folder of the pages is in the way; the message names it and says what to do."""


class Folder:
    """An open folder; ``settings`` say what its files and folders may have as modes."""

    def __init__(self, handle: int, path: Path, settings: Settings) -> None:
        self._handle = handle
        self._settings = settings
        self.path = path

    @contextmanager
    def replacing(self, name: str) -> Iterator[BinaryIO]:
        """A file that is ``name``, all of it on disk, when the block ends well; otherwise ``name`` stays as it was.

        Raises FolderError when ``name`` is there and no file; OSError.
        """
        self._refuse_what_is_no_file(name)
        mode = self._settings.file_mode
        hidden = f".{name}.{secrets.token_hex(4)}.part"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = os.open(hidden, flags, mode, dir_fd=self._handle)
        try:
            with os.fdopen(handle, "wb") as file:
                os.fchmod(handle, mode)  # also where an Airflow of its own has another umask
                yield file
                file.flush()
                os.fsync(handle)
            os.rename(hidden, name, src_dir_fd=self._handle, dst_dir_fd=self._handle)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(hidden, dir_fd=self._handle)
            raise
        os.fsync(self._handle)

    @contextmanager
    def inner(self, name: str, make: bool = True) -> Iterator[Folder]:
        """The folder ``name`` in this one. Raises FolderError when it is a link, FileNotFoundError; OSError."""
        if make:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, self._settings.folder_mode, dir_fd=self._handle)
        with _held(name, self.path / name, self._settings, self._handle) as folder:
            yield folder

    def names(self) -> list[str]:
        """What is in it, sorted."""
        return sorted(os.listdir(self._handle))

    def is_file(self, name: str) -> bool:
        """Whether it is a plain file: no link, no folder, nothing special."""
        found = self._look(name)
        return found is not None and stat.S_ISREG(found.st_mode)

    def begins_with(self, name: str, what: bytes) -> bool:
        """Whether the plain file ``name`` begins with these bytes."""
        if not self.is_file(name):
            return False
        handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self._handle)
        with os.fdopen(handle, "rb") as file:
            return file.read(len(what)) == what

    def delete(self, name: str) -> None:
        """Delete a file; one that is gone is no error."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._handle)

    def delete_folder(self, name: str) -> bool:
        """Delete a folder when nothing is in it any more; whether it is gone."""
        with contextlib.suppress(OSError):
            os.rmdir(name, dir_fd=self._handle)
        return self._look(name) is None

    def left_behind(self, older_than: float) -> list[str]:
        """Hidden files of ours that a writer which was killed left, last changed before ``older_than`` (seconds)."""
        ours = [(name, self._look(name)) for name in self.names() if _HIDDEN.fullmatch(name)]
        return [name for name, found in ours if found and stat.S_ISREG(found.st_mode) and found.st_mtime < older_than]

    def _look(self, name: str) -> os.stat_result | None:
        with contextlib.suppress(FileNotFoundError):
            return os.stat(name, dir_fd=self._handle, follow_symlinks=False)
        return None

    def _refuse_what_is_no_file(self, name: str) -> None:
        found = self._look(name)
        if found is not None and not stat.S_ISREG(found.st_mode):
            raise FolderError(_in_the_way(self.path / name, found.st_mode, "no file"))


@contextmanager
def opened(settings: Settings) -> Iterator[Folder]:
    """The folder of SLUICE_REPORT_FOLDER, made when it is missing. Raises FolderError when it is a link; OSError."""
    path = settings.report_dir
    if not path.is_symlink():
        permissions.make_folder(path, settings)
    with _held(path, path, settings) as folder:
        yield folder


@contextmanager
def _held(name: str | Path, path: Path, settings: Settings, parent: int | None = None) -> Iterator[Folder]:
    try:
        handle = os.open(name, _OPEN_FOLDER, dir_fd=parent)
    except FileNotFoundError:
        raise
    except OSError:
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if stat.S_ISDIR(found.st_mode):
            raise
        raise FolderError(_in_the_way(path, found.st_mode, "no folder")) from None
    try:
        yield Folder(handle, path, settings)
    finally:
        os.close(handle)


def _in_the_way(path: Path, mode: int, what: str) -> str:
    if stat.S_ISLNK(mode):
        return f"{path} is a link, and pages are written through none: remove it, or name the place itself"
    return f"{path} is {what}: remove it, or let SLUICE_REPORT_FOLDER name another folder"
