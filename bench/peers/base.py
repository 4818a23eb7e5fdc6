"""What every member of the league is: a name, a version, why it is not there, and how it loads files.

Nothing here imports more than the standard library: a peer runs in an environment of its own.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from urllib.parse import unquote, urlsplit

# The columns of the files, in their order, with the types that the table has for them. A copy of what Sluice says of
# events, which the environment of the peers does not have; a test compares them.
COLUMNS = {
    "event_id": "uuid",
    "event_type": "text",
    "user_id": "text",
    "product_id": "text",
    "category": "text",
    "price": "numeric(20,4)",
    "timestamp": "timestamptz",
    "session_id": "text",
    "ip_address": "text",
    "user_agent": "text",
    "search_query": "text",
    "search_results_count": "bigint",
    "quantity": "bigint",
    "total_amount": "numeric(20,4)",
    "payment_method": "text",
}

# What is emptied before each load.
TABLES = "public.events, ledger.files, ledger.rejects, ledger.duplicates, ledger.batches"


@dataclass(frozen=True)
class Job:
    """What to load: CSV files with a header, into an existing ``table`` of schema public, of the server at ``url``."""

    files: list[str]
    table: str
    url: str
    folder: str  # for what the peer itself needs to write
    psql: str  # the program
    columns: Sequence[str] = tuple(COLUMNS)  # of the files
    contracts: str = ""  # the folder of Sluice's contracts, if not those that are shipped

    def text(self) -> str:
        """As one line of JSON."""
        return json.dumps(asdict(self))

    @property
    def server(self) -> Address:
        """The parts of ``url``."""
        parts = urlsplit(self.url)
        password = unquote(parts.password or "")
        return Address(parts.hostname or "", parts.port or 5432, parts.username or "", password, parts.path[1:])


@dataclass(frozen=True)
class Address:
    """Where a server is, and as whom to log in."""

    host: str
    port: int
    user: str
    password: str
    database: str

    def libpq(self) -> dict[str, str]:
        """As environment variables of libpq."""
        names = ("PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE")
        return dict(zip(names, (self.host, str(self.port), self.user, self.password, self.database), strict=True))


class Peer(ABC):
    """One member. ``warm`` gets ready (imports, a JVM, sessions) and is not measured, ``load`` is."""

    name = ""
    settings = ""  # in words: how it is set up
    install = "make bench-peers"
    table = ""  # the only one that it can load into
    in_project = False  # it needs the project's own environment, not that of the peers

    def missing(self) -> str:
        """Why it cannot take part; empty when it can."""
        return ""

    @abstractmethod
    def version(self) -> str:
        """Its version, as it says itself."""

    def warm(self, job: Job) -> None:  # noqa: B027 (some are ready)
        """Get ready."""

    @abstractmethod
    def load(self, job: Job) -> None:
        """Load all files; returns when their rows are committed. Raises what it likes when it cannot."""

    def close(self) -> None:  # noqa: B027 (most have nothing to end)
        """End what ``warm`` began."""
