"""What both databases need before the pipeline runs on them; doing it again changes nothing.

The launcher does it on this machine, the service ``init`` in containers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sluice.base import database, queries
from sluice.base.settings import Settings
from sluice.landing import folders
from sluice.ledger import migrate, roles
from sluice.reports import tables


@dataclass(frozen=True)
class Prepared:
    """The pipeline's database as it was prepared.

    ``applied`` counts its new migrations, ``clock`` is its time, ``waits_for`` says which folders are not there (empty:
    all are): the stream goes on by itself when they are.
    """

    applied: int
    clock: datetime
    waits_for: str


def prepare_own(server_url: str, owner_url: str, passwords: Mapping[str, str], settings: Settings) -> Prepared:
    """Roles and databases on the pipeline's own server, as its superuser; then the ledger's migrations
    and folders, and the tables of the reports."""
    with database.connect(server_url, application_name="sluice-init") as connection:
        roles.make_roles(connection, passwords)
    applied = migrate.migrate(owner_url)
    tables.make(owner_url)
    with database.connect(owner_url, application_name="sluice-init") as connection:
        clock = queries.row(connection, "ledger/status.clock")["now"]
        try:
            # Those of a new ledger are marked here.
            folders.check(settings, connection)
        except folders.FoldersError as error:
            return Prepared(len(applied), clock, str(error))
    return Prepared(len(applied), clock, "")


def prepare_airflows(url: str, run: Callable[[list[str]], None], *, generator: bool) -> None:
    """Airflow's own database up to date; the DAG generate_events paused, or not, as ``generator`` says.

    ``run`` runs one airflow command to its end.
    """
    run(["db", "migrate"])
    with database.connect(url, search_path=database.AIRFLOWS_PATH) as connection:
        for command in roles.generator_commands(connection, wanted=generator):
            run(command)
