"""What several commands do: find the running pipeline, say a line, name who asked."""

from __future__ import annotations

import getpass

from sluice.base.plain_text import escaped
from sluice.base.settings import Settings
from sluice.running.instance import Instance
from sluice.running.pipeline import InstanceError, Pipeline, Running


def running(pipeline: Pipeline) -> Running:
    """What the pipeline says of itself; raises InstanceError when it does not run."""
    if (said := pipeline.running()) is None:
        raise InstanceError(f"the pipeline in {pipeline.home} is not running: start it with `make up` or `make run`")
    return said


def reached(pipeline: Pipeline) -> Settings:
    """The settings with the addresses of the database; raises InstanceError when its embedded server does not run."""
    if pipeline.settings.database_url and pipeline.running() is None:
        return pipeline.with_urls(0)
    return pipeline.with_urls(running(pipeline).postgres_port)


def here(pipeline: Pipeline) -> Instance:
    """The pipeline of this machine, to start and stop it; raises InstanceError inside a container."""
    if not isinstance(pipeline, Instance):
        raise InstanceError(
            "this is a container of the pipeline: start and stop it with `docker compose` outside of it"
        )
    return pipeline


def by_whom() -> str:
    """Who asks, for the audit."""
    return f"{getpass.getuser()} (command line)"


def say(line: str) -> None:
    """Print a line. A name of a file may hold what a terminal takes for a command, or a line break: it is escaped."""
    print(escaped(line), flush=True)
