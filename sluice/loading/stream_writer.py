"""What a stream's task keeps warm between files: its connection, its judge, the contracts as they are now."""

from __future__ import annotations

from sluice.base.settings import Settings
from sluice.contracts.folder import Contracts, read_contracts
from sluice.contracts.judge import Judge
from sluice.ledger import contract_waits
from sluice.ledger.leases import StreamFenced
from sluice.loading.landed_file import LandedFile
from sluice.loading.months import Months
from sluice.loading.writer_session import WriterSession

# A load waits for nobody longer: its micro-batch, and every file after it, would wait with it.
LOCK_TIMEOUT = "1s"


class StreamWriter:
    """Writes for one stream, under its epoch. The connection is made when it is first needed, anew after an error.

    ``put_off``: files that wait for another transaction. ``stage_first``: contracts whose last file held
    rows that were there already. ``ledger_id``: the ledger's, and ``expired_before``: the moment, in microseconds since
    1970, before which events are not kept, as the last transaction has read them.
    """

    def __init__(self, settings: Settings, epoch: int) -> None:
        self.settings = settings
        self.epoch = epoch
        self.session = WriterSession(settings.writer_dsn, f"sluice-stream-{epoch}", lock_timeout=LOCK_TIMEOUT)
        self.judge = Judge(settings.duckdb_memory)
        self.months = Months(settings.writer_dsn, settings.events_partition)
        self.put_off: set[int] = set()
        self.stage_first: set[str] = set()
        self.ledger_id = ""
        self.expired_before: int | None = None
        self._contracts: Contracts | None = None

    @property
    def name(self) -> str:
        """Who writes, for the audit."""
        return f"stream {self.epoch}"

    def close(self) -> None:
        """Close the connection and the judge; what was not committed is rolled back by the server."""
        self.session.disconnect()
        self.judge.close()

    def begin(self, file_id: int) -> LandedFile:
        """Begin a file's transaction: the stream's row is held, the file's row is locked.

        Raises StreamFenced when the epoch may not write any more, LookupError when the ledger has no such file.
        """
        if self.put_off:
            # Many may need what one transaction holds: one has waited for it, the others ask, so that a batch goes on.
            self.session.run("load/load.be_brief")
        held = self.session.run("load/load.hold_stream", self.epoch)
        if not held:
            self.session.rollback()
            raise StreamFenced(f"stream {self.epoch} has ended or was fenced: it may not write any more")
        self.ledger_id, self.expired_before = held[0]
        rows = self.session.run("load/load.lock_file", file_id)
        if not rows:
            self.session.rollback()
            raise LookupError(
                f"file {file_id} is not in the ledger: the database was restored; the mover will land it again"
            )
        return LandedFile(*rows[0])

    def contracts(self) -> Contracts:
        """The contracts as they are now."""
        folder = self.settings.contracts_dir
        today = contract_waits.digest(contract_waits.texts(folder))
        if self._contracts is None or self._contracts.digest != today:
            self._contracts = read_contracts(
                folder,
                problems=self.judge.problems,
                last_usable=lambda: dict(self.session.run("load/load.last_usable")),
            )
        return self._contracts

    @property
    def contracts_digest(self) -> str:
        """Of the contracts that were read last."""
        assert self._contracts is not None
        return self._contracts.digest

    def renew_judge(self) -> None:
        """An internal error leaves a DuckDB unusable."""
        self.judge.close()
        self.judge = Judge(self.settings.duckdb_memory)
