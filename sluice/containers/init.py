"""Services secrets and init: everything that must be there before the others start."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from sluice.base import permissions
from sluice.base.env_file import read_env_file
from sluice.base.settings import load, refuse_unknown
from sluice.containers.instance import DEALT, PORT, AllSecrets, Containers
from sluice.containers.log import say
from sluice.containers.waiting import wait_for_database
from sluice.running import databases
from sluice.running.pipeline import InstanceError

HOST = Path("/run/host")  # the project's folder as the host has it


def deal_secrets(_: Sequence[str] = ()) -> int:
    """Service secrets: before everything else, for PostgreSQL's superuser password comes from here."""
    try:
        AllSecrets(load()).deal()
    except OSError as error:
        raise InstanceError(_unwritable(Path(error.filename or DEALT))) from error
    say("every part has its secrets; the web UI's login: `docker compose exec api-server python -m sluice login`")
    return 0


def init(_: Sequence[str] = ()) -> int:
    """Service init: everything that must be there before Airflow starts; doing it again changes nothing."""
    refuse_unknown_in_file(HOST / ".env")
    instance = AllSecrets(load())
    check_volumes(instance)
    wait_for_database(instance.server_url("postgres"))
    prepared = databases.prepare_own(
        instance.server_url("postgres"), instance.owner_url(), instance.secrets(), instance.settings
    )
    say(f"PostgreSQL is ready: {prepared.applied} migrations applied")
    if prepared.waits_for:
        say(f"waiting: {prepared.waits_for}")
    environment = instance.environment(instance.running())
    databases.prepare_airflows(
        instance.role_url("airflow", PORT),
        lambda arguments: _airflow(environment, arguments),
        generator=instance.settings.generator,
    )
    say("Airflow's database is up to date")
    return 0


def refuse_unknown_in_file(path: Path) -> None:
    """Compose hands on the settings that it knows, so a typo in the host's .env is found here or nowhere.

    Raises SettingError. A file that this user may not read is passed over, with a word.
    """
    written: dict[str, str] = {}
    try:
        read_env_file(path, written)
    except OSError as error:
        say(f".env cannot be read ({error.strerror}): a misspelt setting in it is not noticed")
    refuse_unknown(written)


def check_volumes(instance: Containers) -> None:
    """Raises InstanceError with the remedy when a folder that the pipeline writes cannot be written."""
    settings = instance.settings
    try:
        folders = (settings.incoming_dir, settings.processing_dir, settings.archive_dir, settings.checkpoint_dir)
        for folder in (settings.home_dir, *folders, Path("/var/log/sluice")):
            permissions.make_private(folder, settings)
            probe = folder / f".{os.getpid()}.tmp"
            probe.touch()
            probe.unlink()
    except OSError as error:
        raise InstanceError(_unwritable(Path(error.filename or settings.home_dir))) from error
    if not os.access(settings.contracts_dir, os.R_OK | os.X_OK):
        raise InstanceError(
            f"{settings.contracts_dir} cannot be read by user {os.getuid()}: on the host, "
            "`chmod -R a+rX include/contracts`"
        )


def _airflow(environment: dict[str, str], arguments: list[str]) -> None:
    done = subprocess.run(["airflow", *arguments], env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise InstanceError(f"`airflow {' '.join(arguments)}` failed:\n{(done.stdout + done.stderr)[-4000:]}")


def _unwritable(path: Path) -> str:
    return (
        f"{path} cannot be written by user {os.getuid()}, whom the containers run as: give the volume to that user, "
        "docker run --rm --user root --entrypoint chown -v VOLUME:/volume sluice "
        f"-R {os.getuid()}:{os.getgid()} /volume (`docker volume ls` names the volumes), then `docker compose up` again"
    )
