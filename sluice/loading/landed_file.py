"""A landed file as the ledger has it, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass

from sluice.base.plain_text import shown


@dataclass(frozen=True)
class LandedFile:
    """The ledger's row, locked; ``path`` is below the home folder, ``bytes`` and ``sha256`` are those registered.

    ``landed_at`` is in microseconds since 1970.
    """

    file_id: int
    name: str
    path: str
    sha256: str
    bytes: int
    state: str
    landed_at: int

    @property
    def shown(self) -> str:
        """Its name as a log may have it."""
        return shown(self.name)

    @property
    def is_archived(self) -> bool:
        """Whether it lies in the archive already: it took over, or was landed again."""
        return self.path.startswith("archive/")


@dataclass(frozen=True)
class Tally:
    """What became of one file; rows are counts. ``state`` is the file's state in the ledger."""

    file_id: int
    state: str
    rows_read: int = 0
    rows_loaded: int = 0
    rows_rejected: int = 0
    rows_duplicate: int = 0
    bytes: int = 0
