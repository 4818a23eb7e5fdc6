"""Files that somebody handed over and that have not landed yet: each under a token, for an hour.

They lie in a folder of this user's alone beside ``incoming``, on the same file system, so that landing one is a rename.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sluice.base import permissions
from sluice.base.settings import Settings
from sluice.landing import land

KEPT_SECONDS = 3600.0
# So much stays free beside an upload: landing, the archive and the server write on the same disk.
SPARE_BYTES = 256 << 20
# How much is written between two looks at the disk, which others fill too: a body may tell no length, and many come.
LOOK_BYTES = 16 << 20
_TOKEN = re.compile(r"[0-9a-f]{32}")


class UploadError(ValueError):
    """What was handed over is not taken, or is not there (any more); the message says why and what to do."""


@dataclass(frozen=True)
class Upload:
    """One that is there: its token, the name that it would land under, and its bytes."""

    token: str
    name: str
    path: Path


def take(settings: Settings, name: str, length: int | None) -> Writing:
    """Begin to write an upload that would land as ``name``; ``length`` in bytes, when it is known.

    Raises UploadError when a file of this name is never taken, it is too large, or the disk is too full for it.
    """
    try:
        land.check_name(name)
    except land.NotLandedError as error:
        raise UploadError(str(error)) from error
    if length is not None and length > settings.upload_bytes_max:
        raise UploadError(_too_large(settings))
    permissions.make_private(settings.uploads_dir, settings)
    sweep(settings)
    _refuse_when_short(settings, length or 0)
    return Writing(settings, name)


class Writing:
    """An upload that is being written: ``write`` its blocks, then ``end``, or ``give_up``."""

    def __init__(self, settings: Settings, name: str) -> None:
        self._settings = settings
        self._name = name
        self._token = secrets.token_hex(16)
        self._bytes, self._looked_at = 0, 0
        self._file: BinaryIO = _create(settings, _data(settings, self._token))

    def write(self, block: bytes) -> None:
        """Raises UploadError when it becomes too large or the disk too full, OSError when that refuses it."""
        self._bytes += len(block)
        if self._bytes > self._settings.upload_bytes_max:
            raise UploadError(_too_large(self._settings))
        if self._bytes - self._looked_at >= LOOK_BYTES:
            _refuse_when_short(self._settings, len(block))
            self._looked_at = self._bytes
        rest = memoryview(block)
        while rest:
            rest = rest[self._file.write(rest) :]

    def end(self) -> Upload:
        """It is whole."""
        os.fsync(self._file.fileno())
        self._file.close()
        with _create(self._settings, _name(self._settings, self._token)) as file:
            file.write(json.dumps(self._name).encode())
        return find(self._settings, self._token)

    def give_up(self) -> None:
        """Nothing of it stays."""
        self._file.close()
        forget(self._settings, self._token)


def find(settings: Settings, token: str) -> Upload:
    """Raises UploadError when there is none."""
    if not _TOKEN.fullmatch(token):
        raise UploadError("this is no upload: choose the file again")
    try:
        if _name(settings, token).stat().st_mtime < time.time() - KEPT_SECONDS:
            raise FileNotFoundError
        name = json.loads(_name(settings, token).read_text())
    except FileNotFoundError as error:
        raise UploadError("the upload is not there any more, it stays for an hour: choose the file again") from error
    return Upload(token, name, _data(settings, token))


def land_upload(settings: Settings, token: str) -> land.Landed:
    """Land it under its name, or with a number when a file of that name waits. Raises UploadError, NotLandedError."""
    upload = find(settings, token)
    try:
        landed = land.land_file(settings, upload.name, upload.path)
    except FileNotFoundError as error:
        raise UploadError("the upload has landed already, or was too old: choose the file again") from error
    forget(settings, token)
    return landed


def forget(settings: Settings, token: str) -> None:
    """Nothing of it stays."""
    for path in (_name(settings, token), _data(settings, token)):
        with contextlib.suppress(FileNotFoundError):
            path.unlink()


def sweep(settings: Settings) -> None:
    """Delete what was not landed within an hour, and the folders that drafts of killed processes left."""
    oldest = time.time() - KEPT_SECONDS
    with contextlib.suppress(FileNotFoundError):
        for path in settings.uploads_dir.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if path.lstat().st_mtime < oldest:
                    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _refuse_when_short(settings: Settings, more: int) -> None:
    free = shutil.disk_usage(settings.uploads_dir).free
    if free < more + SPARE_BYTES:
        raise UploadError(
            f"the disk of {settings.uploads_dir} has {free / 1e6:,.0f} MB left: free some, then try again"
        )


def _create(settings: Settings, path: Path) -> BinaryIO:
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, settings.file_mode)
    return os.fdopen(descriptor, "wb", buffering=0)


def _data(settings: Settings, token: str) -> Path:
    return settings.uploads_dir / f"{token}.data"


def _name(settings: Settings, token: str) -> Path:
    return settings.uploads_dir / f"{token}.name"


def _too_large(settings: Settings) -> str:
    most = settings.upload_bytes_max / 1e6
    return f"it is larger than SLUICE_UPLOAD_BYTES_MAX ({most:,.0f} MB): land it with `make load`, or raise the setting"
