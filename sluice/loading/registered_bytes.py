"""A landed file's bytes, held against what was registered when it landed."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from sluice.base.permissions import make_folder
from sluice.base.renaming import rename_if_free
from sluice.landing import folders
from sluice.ledger import archive
from sluice.loading.errors import FileChangedError, FileRejectedError
from sluice.loading.file_rules import FILE_RULES
from sluice.loading.landed_file import LandedFile
from sluice.loading.retry_rules import rule_for
from sluice.loading.stream_writer import StreamWriter
from sluice.reading.landed_bytes import LandedBytes

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def reading(writer: StreamWriter, file: LandedFile) -> Iterator[LandedBytes]:
    """The file's bytes. Raises FileChangedError when what was read is not what was registered, also when that is why
    it looks wrong; FileRejectedError when they are gone."""
    with _open(writer, file) as landed:
        try:
            yield landed
        except Exception as error:
            if rule_for(error, FILE_RULES).action == "quarantine":
                # Hashing the rest of a big file takes long, and nothing is to be held meanwhile.
                writer.session.rollback()
                _verify(file, landed)
            raise
        _verify(file, landed)


def _open(writer: StreamWriter, file: LandedFile) -> LandedBytes:
    """Gone is what neither processing nor the archive has, while both are there."""
    path = writer.settings.home_dir / file.path
    try:
        return LandedBytes(archive.where(writer.settings.home_dir, file.path), file.name)
    except FileNotFoundError as error:
        if why := folders.why_not_ours(writer.settings, writer.ledger_id):
            raise folders.FoldersError(why) from error
        archived = archive.find(writer.settings, path.name)
        if archived is None:
            raise FileRejectedError(
                f"{file.path} is gone, and it is not in the archive either: land the file again; nothing else "
                "moves files there",
                cause="gone",
            ) from error
    # The ledger is older than the file: it was restored to a moment before the file was finished.
    make_folder(path.parent, writer.settings)
    rename_if_free(archived, path)
    _log.warning("file %s lay in the archive, as %s: it is loaded again, the ledger has it landed", path.name, archived)
    return LandedBytes(path, file.name)


def _verify(file: LandedFile, landed: LandedBytes) -> None:
    size, sha256 = landed.digest()
    if (size, sha256) != (file.bytes, file.sha256):
        remedy = (
            f"it stays as {file.path}: land it again when it is complete"
            if file.is_archived
            else "it goes back to the landing folder and is taken again when it is complete"
        )
        raise FileChangedError(
            f"{file.name} changed after it was registered: it had {file.bytes} bytes (sha256 {file.sha256[:12]}…), "
            f"now {size} (sha256 {sha256[:12]}…); {remedy}"
        )
