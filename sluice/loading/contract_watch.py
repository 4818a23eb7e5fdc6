"""On the driver: reads the folder of contracts when it has changed, tells what cannot be used and who waits for it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from sluice.base import queries
from sluice.base.settings import Settings
from sluice.ledger import contract_waits
from sluice.ledger.leases import Connection

if TYPE_CHECKING:
    from sluice.contracts.folder import Contracts

_log = logging.getLogger(__name__)


class Ledger(Protocol):
    """The stream's ledger, which may be away: the keeper of its lease."""

    def in_ledger(self, action: Callable[[Connection], object]) -> bool:
        """Do it; False when the ledger is away."""

    def note(self, error: str) -> None:
        """Tell the ledger of an error that changes nothing of what the stream does."""


class ContractWatch:
    """``look`` as often as wanted: unless the folder has changed, it only reads the files.

    The ledger keeps the last usable text of each contract: by that one a broken contract still matches.
    """

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        self._settings = settings
        self._ledger = ledger
        self._digest = ""
        self._broken = ""
        self._told_of_files = False
        self._doubts: set[str] = set()

    def look(self) -> None:
        """Once a change: say what cannot be used, and how many files wait for it; once: what is doubtful."""
        if contract_waits.digest(contract_waits.texts(self._settings.contracts_dir)) != self._digest:
            self._read()
        if self._broken and not self._told_of_files and (message := self._files_that_wait()):
            self._told_of_files = True
            self._tell(message)

    def _read(self) -> None:
        # What reading contracts needs takes long to import: by now the query has started.
        from sluice.contracts.folder import read_contracts
        from sluice.contracts.judge import Judge
        from sluice.contracts.sales import doubts

        judge = Judge(self._settings.duckdb_memory)
        try:
            contracts = read_contracts(self._settings.contracts_dir, problems=judge.problems)
        finally:
            judge.close()
        if not self._ledger.in_ledger(lambda connection: _note(connection, contracts)):
            return  # the ledger is away: the next look tries again
        doubtful = [f"{contract.path.name}: {doubt}" for contract, doubt in doubts(contracts.usable)]
        for doubt in doubtful:
            if doubt not in self._doubts:
                _log.warning("%s", doubt)
        self._doubts.update(doubtful)
        was, self._broken = self._broken, contracts.why()
        self._digest, self._told_of_files = contracts.digest, False
        if self._broken:
            self._tell(f"files that need it wait, all others load: {self._broken}")
        elif was:
            _log.info("all contracts can be used again: the files that waited are loaded")

    def _files_that_wait(self) -> str:
        sentences: list[str] = []
        self._ledger.in_ledger(lambda connection: sentences.append(contract_waits.waiting(connection, self._digest)))
        return "".join(sentences)

    def _tell(self, message: str) -> None:
        _log.error("%s", message)
        self._ledger.note(message)


def _note(connection: Connection, contracts: Contracts) -> None:
    with connection.transaction():
        for file, usable in contracts.texts.items():
            queries.run(connection, "ledger/contracts.note_usable", file=file, usable=usable, digest=contracts.digest)
        for broken in contracts.broken:
            values = {"file": broken.file, "problem": broken.why, "digest": contracts.digest}
            queries.run(connection, "ledger/contracts.note_problem", **values)
