"""Renames that overwrite nothing, and that the disk remembers."""

from __future__ import annotations

import ctypes
import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

_AT_FDCWD, _RENAME_NOREPLACE = -100, 1


def rename_if_free(source: Path, target: Path) -> bool:
    """Rename without overwriting; False when the target exists. Raises FileNotFoundError when the source does not."""
    if source == target:  # else it would be taken for the other half of a rename that was cut off, and deleted
        return source.exists()
    try:
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        if not os.path.samefile(source, target):
            return False
    except FileNotFoundError:
        raise
    except OSError:  # a file system without hard links, or not our file
        return _rename_in_one_call(source, target)
    os.unlink(source)
    return True


def _rename_in_one_call(source: Path, target: Path) -> bool:
    """As rename_if_free. Only where the system has no such call is there a moment between the look and the rename."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:
        code = errno.ENOSYS
    else:
        failed = renameat2(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), _RENAME_NOREPLACE)
        code = ctypes.get_errno() if failed else 0
    if code == errno.EEXIST:
        return False
    if code in (errno.ENOSYS, errno.EINVAL):
        if os.path.lexists(target):
            return False
        os.rename(source, target)
    elif code:
        raise OSError(code, os.strerror(code), str(source), None, str(target))
    return True


def sync_folder(folder: Path) -> None:
    """After a power cut the ledger must not know of a rename that the disk has forgotten."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file that is ``path``, all of it on disk, when the block ends well; otherwise ``path`` stays as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    hidden = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with hidden.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        hidden.replace(path)
    finally:
        hidden.unlink(missing_ok=True)
    sync_folder(path.parent)
