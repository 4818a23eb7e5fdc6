"""The backup of the schedule: made as the writer, whom Airflow's tasks are, of the embedded server's database."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from sluice.base.settings import Settings
from sluice.loading import backup
from sluice.loading.backup import RestoreError
from sluice.running import embedded

_log = logging.getLogger(__name__)


def back_up(settings: Settings) -> Path:
    """Make a backup, then delete those of the schedule beyond SLUICE_KEEP_BACKUPS; where it is.

    Raises RestoreError when the database is no embedded server's, whose programs are here, or none can be made.
    """
    _check_that_it_is_ours(settings)
    name = f"{backup.SCHEDULED}{time.strftime('%Y%m%d-%H%M%S')}{backup.ENDING}"
    target = settings.backup_dir / name
    program = embedded.binaries(settings.postgres_bin) / "pg_dump"
    backup.dump(settings.writer_dsn, program, target, settings.contracts_dir, _log.info)
    _log.info("the backup is %s, %s bytes", target, f"{target.stat().st_size:,}")
    for gone in backup.trim(settings.backup_dir, settings.keep_backups):
        _log.info("deleted the older backup %s", gone)
    return target


def _check_that_it_is_ours(settings: Settings) -> None:
    server = embedded.Server(settings.home_dir / "postgres", Path())
    parts = conninfo_to_dict(settings.writer_dsn)
    ours = {"host": "127.0.0.1", "port": str(embedded.running_port(server.pgdata))}
    if any(str(parts.get(key)) != value for key, value in ours.items()):
        raise RestoreError(
            "the database is not this pipeline's embedded server: back it up with that server's own tools; containers "
            "with `make backup`, from cron say (docs/compose.md)"
        )
