"""What is done with a file that was read: set aside, held until the contracts change, put away in the archive."""

from __future__ import annotations

import logging
import socket
from datetime import UTC, datetime
from pathlib import Path

from sluice.base.crash_points import crash_point
from sluice.base.log_lines import facts
from sluice.base.permissions import make_folder
from sluice.base.plain_text import escaped
from sluice.base.renaming import rename_if_free
from sluice.base.settings import Settings
from sluice.contracts.model import Contract
from sluice.landing import folders, incoming
from sluice.ledger.takeover import take_over
from sluice.loading.landed_file import LandedFile, Tally
from sluice.loading.stream_writer import StreamWriter

_log = logging.getLogger(__name__)


def set_aside(
    writer: StreamWriter, file: LandedFile, error: str, contract: Contract | None, cause: str
) -> tuple[Tally, str]:
    """In a transaction of its own: the file is rejected, and none of its rows is visible. Its tally and its path."""
    run = writer.session.run
    writer.session.rollback()
    again = writer.begin(file.file_id)
    if again.state != "landed":
        writer.session.rollback()
        return Tally(file.file_id, again.state), again.path
    run("load/withdraw.lock_file", file.file_id)
    path = path_after(writer.settings, file, "rejected", back=cause == "changed")
    name, version = (contract.name, contract.version) if contract else (None, None)
    run("load/load.mark_rejected", file.file_id, name, version, writer.epoch, socket.gethostname(), path, error, cause)
    take_over(run, file.file_id, home=writer.settings.home_dir, by_whom=writer.name, has_rows=False)
    crash_point("load.before_reject")
    writer.session.commit()
    told = facts(
        event="file_rejected", file_id=file.file_id, name=file.name, epoch=writer.epoch, error=error, cause=cause
    )
    _log.warning("file %s (%s) is rejected: %s", file.file_id, file.shown, escaped(error), extra=told)
    return Tally(file.file_id, "rejected", bytes=file.bytes), path


def hold(writer: StreamWriter, file: LandedFile, why: str) -> Tally:
    """In a transaction of its own: the file is dealt out to nobody until the folder of contracts has changed."""
    writer.session.rollback()
    again = writer.begin(file.file_id)
    if again.state == "landed":
        writer.session.run("load/load.mark_waiting", file.file_id, writer.contracts_digest, why)
        _log.warning("file %s (%s) waits for a contract: %s", file.file_id, file.shown, escaped(why))
    writer.session.commit()
    return Tally(file.file_id, again.state)


def put_away(writer: StreamWriter, file: LandedFile, was: str | None = None) -> None:
    """Move a finished file to where the ledger says it is; the mover's tidy step does it when this does not.

    ``was`` is its path before it was finished.
    """
    source = writer.settings.processing_dir / Path(was or file.path).name
    target = writer.settings.home_dir / file.path
    if source == target or not source.exists():
        return
    if not folders.is_ours(writer.settings.archive_dir, writer.ledger_id):
        _log.warning("file %s stays in the processing folder: the archive is not there", file.file_id)
        return
    try:
        make_folder(target.parent, writer.settings)
        crash_point("archive.before_move")
        if not rename_if_free(source, target):
            _log.info("file %s stays in the processing folder: %s was taken meanwhile", file.file_id, file.path)
        crash_point("archive.after_move")
    except FileNotFoundError:
        _log.debug("file %s was put away by another", file.file_id)
    except OSError as error:
        _log.info("file %s stays in the processing folder for now: %s", file.file_id, error)


def path_after(settings: Settings, file: LandedFile, state: str, *, back: bool = False) -> str:
    """Where the file will lie. One that took over, or was landed again, stays where it is in the archive."""
    if file.is_archived:
        return file.path
    if back:
        return f"incoming/{incoming.free_name(settings, file.name)}"
    return f"archive/{state}/{datetime.now(UTC):%Y-%m-%d}/{Path(file.path).name}"
