"""Who may see what the pipeline keeps: nobody else, unless SLUICE_UMASK and SLUICE_INCOMING_GROUP say otherwise.

What this user makes gets its mode from the umask of the process (``be_private``). What comes from elsewhere, a
producer's file or a folder of an earlier version, loses what it has too much (``tighten``).
"""

from __future__ import annotations

import contextlib
import grp
import os
import stat
from pathlib import Path

from sluice.base.settings import SettingError, Settings

# Others may pass through to what lies below, and see nothing.
PASSABLE = 0o011
# Whoever is in the group may land files, list the folder, and rename or delete files of their own only; what is made in
# it belongs to the group.
_DROP_BOX = stat.S_ISVTX | stat.S_ISGID | 0o770


def be_private(settings: Settings) -> None:
    """From now on this process, and what it starts, makes files and folders that only SLUICE_UMASK lets others see."""
    os.umask(int(settings.umask, 8))


def make_folder(path: Path, settings: Settings) -> None:
    """Make the folder and those above it that are missing."""
    for folder in (*reversed(path.parents), path):
        if not folder.is_dir():
            folder.mkdir(mode=settings.folder_mode, exist_ok=True)


def tighten(path: Path, most: int) -> None:
    """Take the permissions from ``path`` that are not in ``most``; somebody else's stays as it is.

    Where that is a producer's file, it lies in a folder by then that the producer cannot enter.
    """
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & ~most:
        with contextlib.suppress(PermissionError):
            path.chmod(mode & most)


def make_private(path: Path, settings: Settings, passable: int = 0) -> None:
    """Make the folder if it is missing; if it is there, take from it what others may not. All may do ``passable``."""
    make_folder(path, settings)
    tighten(path, settings.folder_mode | passable)
    if passable & ~path.stat().st_mode:
        path.chmod(stat.S_IMODE(path.stat().st_mode) | passable)


def make_incoming(settings: Settings) -> None:
    """The landing folder: this user's own, or open to the members of SLUICE_INCOMING_GROUP.

    Raises SettingError when there is no such group, or this user may not give a folder to it.
    """
    folder, group = settings.incoming_dir, settings.incoming_group
    if not group:
        make_private(folder, settings)
        return
    make_folder(folder, settings)
    try:
        wanted = grp.getgrnam(group).gr_gid
        if folder.stat().st_gid != wanted:
            os.chown(folder, -1, wanted)
        if stat.S_IMODE(folder.stat().st_mode) != _DROP_BOX:
            folder.chmod(_DROP_BOX)
    except KeyError:
        raise SettingError(
            f"SLUICE_INCOMING_GROUP={group!r} is no group of this machine: make it, or unset it"
        ) from None
    except PermissionError as error:
        raise SettingError(
            f"SLUICE_INCOMING_GROUP={group!r}: {folder} cannot be given to that group ({error.strerror}): make this "
            f"user a member of it, or as root `chgrp {group} {folder} && chmod 3770 {folder}`"
        ) from error
