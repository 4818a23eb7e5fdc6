"""A contract was corrected: the files that an old version of it has judged are taken back, and land again.

All are taken back before the first one lands. A row may be in several of them; corrected, it is another row, and would
be a conflict with what an old version has made of it. Killed anywhere, the same command again goes on: what was taken
back to land again is in the audit, what has landed since is in the ledger.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from sluice.base import database, queries
from sluice.base.crash_points import crash_point
from sluice.base.plain_text import shown
from sluice.base.settings import Settings
from sluice.contracts.folder import read_contracts
from sluice.contracts.judge import Judge
from sluice.contracts.model import ContractError
from sluice.landing import folders, incoming
from sluice.ledger import archive, file_names
from sluice.loading.errors import RejudgeError
from sluice.loading.unload import REASON_MIN, UnloadError, unload_file

_log = logging.getLogger(__name__)

Connection = psycopg.Connection[dict[str, Any]]
Row = dict[str, Any]
_LOOK_SECONDS = 0.2


@dataclass
class Rejudged:
    """What was done, or would be: ``files`` by the version that had judged them, and their rows.

    ``stay``: why a file stays as the old version has judged it; ``landed``: how many lie in incoming again.
    """

    contract: str
    version: str
    files: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    stay: list[str] = field(default_factory=list)
    landed: int = 0

    def lines(self, *, is_done: bool) -> list[str]:
        """Sentences for people."""
        did = "were taken back" if is_done else "would be taken back, and land again"
        said = [f"{count:,} files that version {old} has judged {did}" for old, count in sorted(self.files.items())]
        said = said or [f"no loaded file was judged by an older version of {self.contract} than {self.version}"]
        said += [f"it stays as it is: {why}" for why in self.stay]
        if is_done:
            return [*said, f"{self.landed:,} files land again, to be judged by version {self.version}"]
        return [*said, f"they have {self.rows:,} rows"] if self.files else said


def rejudge(
    settings: Settings, contract: str, *, version: str | None = None, reason: str = "", by_whom: str, dry_run: bool
) -> Rejudged:
    """Take back the loaded files that an older version of ``contract`` (``version``; None: any) has judged; land them.

    A ``dry_run`` changes nothing. A file whose bytes are deleted, or are not those that landed, stays as it is. The
    published reports follow with their next refresh. Raises RejudgeError, UnloadError for a reason that says nothing,
    FoldersError while the archive is not there, psycopg.Error when the database is away; the same call goes on then.
    """
    current = _current(settings, contract)
    if version == current:
        raise RejudgeError(
            f"{version} is the version of contract {contract} today: raise it, so that what it judges from now on can "
            "be told from what it has judged before"
        )
    with database.connect(settings.writer_dsn, application_name="sluice-rejudge") as connection:
        folders.check(settings, connection)
        rejudging = _Rejudging(settings, connection, {"contract": contract, "current": current, "version": version})
        rejudged = Rejudged(contract, current)
        if dry_run:
            rejudging.look(rejudged)
        else:
            rejudging.take_back(rejudged, reason, by_whom)
            rejudging.land(rejudged)
    _log.info("%s %s", "dry run:" if dry_run else "done:", rejudged)
    return rejudged


def _current(settings: Settings, name: str) -> str:
    judge = Judge(settings.duckdb_memory)
    try:
        contracts = read_contracts(settings.contracts_dir, problems=judge.problems)
    finally:
        judge.close()
    try:
        return contracts.named(name).version
    except ContractError as error:
        raise RejudgeError(f"contract {name} cannot be used, nothing was changed: {error}") from error
    except LookupError:
        there = ", ".join(sorted(contract.name for contract in contracts.usable))
        raise RejudgeError(f"there is no contract named {name!r} in {settings.contracts_dir}: it has {there}") from None


class _Rejudging:
    def __init__(self, settings: Settings, connection: Connection, asked: Row) -> None:
        self._settings = settings
        self._connection = connection
        self._asked = asked

    def look(self, rejudged: Rejudged) -> list[Row]:
        """The files that can be judged again, counted in ``rejudged``, where it is told why others cannot."""
        chosen = []
        for file in queries.all(self._connection, "ledger/rejudge.judged", **self._asked):
            if why := self._why_not(file):
                rejudged.stay.append(f"file {file['file_id']} ({shown(file['name'])}): {why}")
                continue
            chosen.append(file)
            rejudged.files[file["contract_version"]] += 1
            rejudged.rows += file["rows_read"]
        return chosen

    def take_back(self, rejudged: Rejudged, reason: str, by_whom: str) -> None:
        """Unload all of them with their duplicates. Raises RejudgeError when others hold one of them for too long."""
        if len(reason.strip()) < REASON_MIN:
            raise UnloadError(f"reason {reason!r} says nothing: the audit keeps it for those who come after")
        failed: dict[int, str] = {}
        for file in self.look(rejudged):
            try:
                unload_file(
                    self._settings,
                    file["file_id"],
                    reason,
                    by_whom=by_whom,
                    with_duplicates=True,
                    lands_again=True,
                )
            except UnloadError as error:
                failed[file["file_id"]] = str(error)
            crash_point("rejudge.after_unload")
        # One that was replaced or taken back meanwhile has failed, too, and is nobody's any more.
        loaded = {file["file_id"] for file in queries.all(self._connection, "ledger/rejudge.judged", **self._asked)}
        if left := {file_id: why for file_id, why in failed.items() if file_id in loaded}:
            raise RejudgeError(
                f"{len(left):,} files are loaded still, and none lands yet: the same command again goes on. "
                f"{'; '.join(left.values())}"
            )

    def land(self, rejudged: Rejudged) -> None:
        """Put them into incoming, each under its name; one whose name is taken there waits for the mover."""
        ended = queries.all(self._connection, "ledger/rejudge.to_land", **self._asked)
        waiting = [file for file in ended if self._place(file).is_file()]
        deadline = time.monotonic() + self._settings.unload_patience_seconds
        while waiting:
            taken = [file for file in waiting if not self._land(file)]
            rejudged.landed += len(waiting) - len(taken)
            waiting = taken
            if waiting and time.monotonic() > deadline:
                names = ", ".join(shown(file["name"]) for file in waiting[:5])
                raise RejudgeError(
                    f"{rejudged.landed:,} files land again, {len(waiting):,} wait for their names in incoming, which "
                    f"others have ({names}): when the mover has taken those, the same command again goes on"
                )
            if waiting:
                time.sleep(_LOOK_SECONDS)

    def _land(self, file: Row) -> bool:
        """Whether it is in incoming now; not while its name is taken there."""
        source = self._place(file)
        name = file_names.to_land_as(file["name"], source.name)
        arrival = {"sha256": file["sha256"], "landed_at": file["landed_at"]}
        queries.run(self._connection, "restore.keep_arrival", **arrival)
        is_there = incoming.link_as(self._settings, source, name)
        crash_point("rejudge.after_land")
        return is_there

    def _place(self, file: Row) -> Path:
        return archive.where(self._settings.home_dir, file["path"])

    def _why_not(self, file: Row) -> str:
        """Why its bytes cannot land again; empty when they can, or those of a duplicate."""
        paths = [*([] if file["is_sealed"] else [file["path"]]), *file["duplicates"]]
        places = [archive.where(self._settings.home_dir, path) for path in paths]
        there = [place for place in places if place.is_file()]
        if not there:
            return "its bytes were deleted when it was sealed" if file["is_sealed"] else f"{file['path']} is gone"
        if not any(_sha256(place) == file["sha256"] for place in there):
            return f"{file['path']} is not what landed: its sha256 is another"
        return ""


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
