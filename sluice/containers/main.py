"""The pipeline as containers of one network: what each service of docker-compose.yaml runs.

python -m sluice.containers secrets      make the secrets and deal each part its own
python -m sluice.containers init         roles, databases, migrations
python -m sluice.containers SERVICE      become that part of Airflow or Spark
python -m sluice.containers healthy JOB  whether this container's Airflow job lives
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence

from sluice.base import permissions
from sluice.base.settings import SettingError, load, refuse_unknown
from sluice.containers import init, port, restoring, services
from sluice.containers.log import say
from sluice.ledger.migrate import MigrationError
from sluice.loading.restore import RestoreError
from sluice.running.pipeline import InstanceError

_COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "secrets": init.deal_secrets,
    "web-port": port.check_port,
    "init": init.init,
    "restore-begin": restoring.restore_begin,
    "restore-finish": restoring.restore_finish,
    "copy-sealed": restoring.copy_sealed,
    "healthy": services.healthy,
    "spark-master": services.run_master,
    "spark-worker": services.run_worker,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; what a user can mend is one clear sentence, not a traceback."""
    parser = argparse.ArgumentParser(prog="python -m sluice.containers", description="What the containers run.")
    parser.add_argument("command", choices=[*_COMMANDS, *services.AIRFLOW])
    parser.add_argument("arguments", nargs="*")
    parsed = parser.parse_args(arguments)
    try:
        refuse_unknown(os.environ)
        permissions.be_private(load())
        command = _COMMANDS.get(parsed.command) or (lambda _: services.run_airflow(parsed.command))
        return command(parsed.arguments)
    except (InstanceError, SettingError, MigrationError, RestoreError) as error:
        say(f"{parsed.command}: {error}")
        return 1
