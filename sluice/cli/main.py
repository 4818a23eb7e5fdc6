"""The command line: ``python -m sluice COMMAND``. The Makefile's targets call it.

A command is one function in the module of what it is about; its arguments stand above it.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import psycopg

from sluice.base import permissions
from sluice.base.env_file import read_env_file
from sluice.base.plain_text import indented
from sluice.base.settings import PROJECT, SettingError, load, refuse_unknown
from sluice.cli import backups, contracts, duty, feeds, files, lifecycle, monitoring, programs, proof, reports
from sluice.cli.command import Command
from sluice.containers.instance import Containers, inside
from sluice.landing import folders
from sluice.ledger import insist
from sluice.ledger.migrate import MigrationError
from sluice.loading import errors, restore, unload
from sluice.reports import definitions, refresh
from sluice.running import dag_params
from sluice.running.embedded import EmbeddedError
from sluice.running.instance import Instance
from sluice.running.java import JavaError
from sluice.running.pipeline import InstanceError

# In the order in which the help lists them.
_GROUPS = (lifecycle, duty, feeds, monitoring, files, proof, reports, backups, contracts, programs)
_EXPECTED = (
    InstanceError,
    SettingError,
    EmbeddedError,
    JavaError,
    MigrationError,
    psycopg.OperationalError,
    unload.UnloadError,
    insist.InsistError,
    restore.RestoreError,
    errors.RejudgeError,
    definitions.ReportError,
    refresh.RefreshError,
    folders.FoldersError,
    folders.AdoptError,
    dag_params.DagParamsError,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code. What a user can mend is one clear sentence, not a traceback."""
    parsed = _parsed(list(sys.argv[1:] if arguments is None else arguments))
    try:
        _read_env_file(PROJECT / ".env")
        refuse_unknown(os.environ)
        permissions.be_private(load())
        command: Command = parsed.command
        return command.run(Containers(load()) if inside() else Instance(load()), parsed)
    except _EXPECTED as error:
        print(f"sluice: {indented(str(error))}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130


def _parsed(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sluice", description="Runs Sluice and tells what it does.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    known = [command for group in _GROUPS for command in _commands(group)]
    for command in known:
        command.add_to(commands)
    own = words[:1] if words[:1] in [[command.name] for command in known if command.hands_on] else words
    parsed = parser.parse_args(own)
    parsed.arguments = words[len(own) :]
    return parsed


def _commands(group: ModuleType) -> list[Command]:
    """The commands of a module, in the order in which they stand there."""
    return [value for value in vars(group).values() if isinstance(value, Command)]


def _read_env_file(path: Path) -> None:
    try:
        read_env_file(path, os.environ)
    except OSError as error:
        raise SettingError(f"{path} cannot be read ({error.strerror}): give it to this user, or delete it") from error
