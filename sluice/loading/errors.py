"""What loading one file ends in when it does not end in rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sluice.contracts.model import Contract


class FileRejectedError(Exception):
    """The whole file is set aside; the message, for ``ledger.files.error``, says why and what to do.

    ``cause`` is for ``ledger.files.rejected_for``: content, name, undoes or gone.
    """

    def __init__(self, message: str, contract: Contract | None = None, *, cause: str = "content") -> None:
        super().__init__(message)
        self.contract = contract
        self.cause = cause


class FileChangedError(Exception):
    """The file on disk is not the one that was registered: somebody went on writing to it."""

    cause = "changed"


class MonthMissingError(Exception):
    """No partition of ``events`` takes a row: it went while the file was loaded, or another program copied."""


class RowsMovedError(Exception):
    """Rows that were in ``events`` a moment ago have left with their file, or are another file's now."""


class RejudgeError(RuntimeError):
    """Not all files could be taken back or landed; the message says what was done, why, and what to do."""
