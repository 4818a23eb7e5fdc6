"""What several commands do: find the running pipeline, say a line, name who asked."""

from __future__ import annotations

import getpass

from sluice.base.settings import Settings
from sluice.ledger import quarantine
from sluice.running.instance import Instance, InstanceError, Running


def running(instance: Instance) -> Running:
    """What the pipeline says of itself; raises InstanceError when it does not run."""
    if (said := instance.running()) is None:
        raise InstanceError(f"the pipeline in {instance.home} is not running: start it with `make up` or `make run`")
    return said


def reached(instance: Instance) -> Settings:
    """The settings with the addresses of the database; raises InstanceError when its embedded server does not run."""
    if instance.settings.database_url and instance.running() is None:
        return instance.with_urls(0)
    return instance.with_urls(running(instance).postgres_port)


def by_whom() -> str:
    """Who asks, for the audit."""
    return f"{getpass.getuser()} (command line)"


def say(line: str) -> None:
    """Print a line. A name of a file may hold what a terminal takes for a command, or a line break: it is escaped."""
    print(quarantine.escaped(line), flush=True)
