"""What a command of the command line is: a name, a line of help, its arguments, and the function that it runs."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sluice.running.pipeline import Pipeline

Run = Callable[[Pipeline, argparse.Namespace], int]


@dataclass(frozen=True)
class Argument:
    """One argument, as argparse's ``add_argument`` takes it."""

    names: tuple[str, ...]
    options: dict[str, Any]


@dataclass(frozen=True)
class Command:
    """One command. ``run`` returns the exit code; what a user can mend it raises, as one sentence with the remedy.

    ``hands_on``: all words that follow it belong to the program that it runs, options too (``parsed.arguments``).
    """

    name: str
    help: str
    arguments: tuple[Argument, ...]
    hands_on: bool
    run: Run

    def add_to(self, commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
        """Teach the parser of the command line this command."""
        parser = commands.add_parser(self.name, help=self.help, description=self.help)
        parser.set_defaults(command=self)
        for argument in self.arguments:
            parser.add_argument(*argument.names, **argument.options)


def argument(*names: str, **options: Any) -> Argument:
    """An argument of a command; the same words as for argparse's ``add_argument``."""
    return Argument(names, options)


def command(name: str, text: str, *arguments: Argument, hands_on: bool = False) -> Callable[[Run], Command]:
    """Make the function below a command; it is found by standing in one of the modules that ``main`` lists."""
    return lambda run: Command(name, text, arguments, hands_on, run)
