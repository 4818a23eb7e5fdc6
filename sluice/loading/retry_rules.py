"""What an error of the loading side means, and what is done about it: data, in one place, each rule with its reason.

The driver asks ``RULES`` about what ended its query. The loader asks sluice/loading/file_rules.py about one file, which
has more rules before these. A rule matches the class of an error, its SQLSTATE or its errno; a text only where libpq or
the JVM gives nothing else. So what a file holds can never choose a rule, and a message may be improved, or a module
moved, without changing what is done.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import psycopg

from sluice.landing.folders import FoldersError
from sluice.ledger.leases import StreamFenced
from sluice.loading.errors import MonthMissingError, RowsMovedError

# Exit codes of the driver.
FENCED, ORPHANED, STOPPED = 3, 4, 5

Action = Literal["again", "later", "quarantine", "return", "hold", "wait", "renew", "forget", "stop", "end"]
Classes = tuple[type[BaseException], ...]


class Foreign(Exception):  # noqa: N818 - it is never raised
    """Stands for an error that reached the driver as text, and whose class no rule names."""


class OfTheJvm(Foreign):
    """Stands for an error of Java's."""


DATABASE: Classes = (psycopg.Error,)
_OPERATIONAL: Classes = (psycopg.OperationalError,)


@dataclass(frozen=True)
class When:
    """The errors that a rule is about: all that is given must hold.

    ``classes``: the error is of one of these, or of what inherits from them, except ``but_not``; with ``only_these`` of
    one of these itself. ``codes``: how its SQLSTATE begins, except ``but_codes``; ``without_code``: it has none.
    ``numbers``: its errno, ``numbered``: it has one. ``text``: a pattern for its line.
    """

    classes: Classes
    but_not: Classes = ()
    only_these: bool = False
    codes: tuple[str, ...] = ()
    but_codes: tuple[str, ...] = ()
    without_code: bool = False
    numbers: tuple[int, ...] = ()
    numbered: bool = False
    text: str = ""

    def holds(self, failure: Failure) -> bool:
        """Whether the failure is one of these."""
        kind, code, number = failure.kind, failure.code, failure.number
        is_one = kind in self.classes if self.only_these else issubclass(kind, self.classes)
        return (
            is_one
            and not issubclass(kind, self.but_not)
            and (not self.codes or code.startswith(self.codes))
            and code not in self.but_codes
            and not (self.without_code and code)
            and (not self.numbers or number in self.numbers)
            and not (self.numbered and number is None)
            and (not self.text or re.search(self.text, failure.line) is not None)
        )


@dataclass(frozen=True)
class RetryRule:
    """``when`` one of these holds, ``action`` is taken. ``says`` is for people, with the remedy; ``reason`` says why.

    Actions: ``again`` (load the same file again at once, a few times), ``later`` (the file waits for a later
    micro-batch, and holds up no other), ``quarantine`` (the file is wrong: it is set
    aside), ``return`` (the file goes back to the landing folder), ``hold`` (the file waits in the ledger until the
    contracts change), ``wait`` (and try again for as long as it takes),
    ``renew`` (as ``wait``; after some in a row the driver ends, and another one begins), ``forget`` (put the checkpoint
    aside, then as ``wait``), ``stop`` (the environment is wrong: the stream ends with the remedy), ``end`` (another
    stream writes now).

    ``error_says_it``: the error's own message tells people what to do. ``may_be_a_disk``: a full disk may be why.
    """

    when: tuple[When, ...]
    action: Action
    says: str
    reason: str
    error_says_it: bool = False
    may_be_a_disk: bool = False


@dataclass(frozen=True)
class Failure:
    """What rules look at: an error's class, its SQLSTATE or "", its errno, and its line for people."""

    kind: type[BaseException]
    code: str
    number: int | None
    line: str


_LOGIN_SAYS = (
    "PostgreSQL refuses the login: correct SLUICE_WRITER_URL (or the role's password, or pg_hba.conf), then start "
    "the pipeline again"
)
_LOGIN_REASON = "the environment of a process cannot change while it lives, so the same login is refused for ever"
_REFUSED = "password authentication failed"
_FULL = "No space left on device"

RULES = (
    RetryRule(
        (When((StreamFenced,)),),
        "end",
        "another stream has taken over",
        "a fenced epoch can never write again; the newer stream loads what this one left",
    ),
    RetryRule(
        (When(DATABASE, codes=("23505", "40P01", "40001")),),
        "again",
        "others wrote the same rows at the same time",
        "one of them has committed by now, so the same file meets it as duplicates, or waits for its locks",
    ),
    RetryRule(
        (When((RowsMovedError,)),),
        "again",
        "a file was taken back whose rows this one has as well",
        "the same file finds the row gone, or under the file that has it now",
    ),
    RetryRule(
        (When((MonthMissingError,)),),
        "again",
        "a month of events was missing, and is made",
        "a partition may go at any time; what a load knows of them is forgotten then, and looked up anew",
    ),
    RetryRule(
        (When(DATABASE, codes=("55P03",)),),
        "later",
        "an unload, a replay or another load holds rows that this file needs: it is loaded when they are free",
        "who waits in a micro-batch holds up every file of it, and the lock may be held for long",
    ),
    RetryRule(
        (When((FoldersError,)),),
        "wait",
        "a folder of the pipeline is not there: mount it, or adopt a new one with `make adopt`",
        "what an empty mount point lacks is not gone; as soon as the folder is back, the files in it are loaded",
    ),
    RetryRule(
        (When(DATABASE, codes=("53100",)), When(DATABASE, without_code=True, text=_FULL)),
        "wait",
        "the disk of PostgreSQL's data folder is full: free space there",
        "nothing was committed; the same files load as soon as there is space",
        may_be_a_disk=True,
    ),
    RetryRule(
        (
            When((OSError,), numbers=(errno.ENOSPC, errno.EDQUOT)),
            When((Foreign,), text=f"{_FULL}|Disk quota exceeded"),
        ),
        "wait",
        "a disk of the stream's machine is full: free space",
        "nothing was committed; checkpoint and temporary files are written anew as soon as there is space",
        may_be_a_disk=True,
    ),
    RetryRule(
        (When((OSError,), numbered=True),),
        "wait",
        "a file cannot be read or written now: look at its disk, its mount and its permissions",
        "a disk or a mount that answers again gives the same bytes; what they are is then held against the ledger",
        may_be_a_disk=True,
    ),
    RetryRule(
        (
            When(
                _OPERATIONAL,
                without_code=True,
                text=rf"connection to server at .* failed: FATAL: ({_REFUSED}"
                r"|no pg_hba\.conf entry|(role|database) \".*\" does not exist|permission denied"
                r"|role \".*\" is not permitted)",
            ),
            When(DATABASE, codes=("28", "3D")),
        ),
        "stop",
        _LOGIN_SAYS,
        _LOGIN_REASON,
    ),
    RetryRule(
        (When((OfTheJvm,), text="Incomplete log file|Failed to read log file"),),
        "forget",
        "the checkpoint is damaged: it is put aside, as checkpoint.damaged, and a new one is begun",
        "a file that a power cut left torn never heals; what is loaded is decided in the ledger, not in the checkpoint",
    ),
    RetryRule(
        (When(DATABASE, codes=("42",)),),
        "stop",
        "the schema or its grants are not as Sluice left them: `make up` applies the migrations and grants",
        "no later attempt of this program can find another schema; whoever changed it must know at once",
    ),
    RetryRule(
        (
            When(DATABASE, codes=("53300",)),
            When(DATABASE, without_code=True, text="too many clients|remaining connection slots"),
        ),
        "wait",
        "PostgreSQL has no connection left: end sessions that nobody needs, or raise max_connections",
        "sessions end by themselves sooner or later; the files wait in the ledger",
    ),
    RetryRule(
        (When(DATABASE, codes=("53200",)),),
        "wait",
        "PostgreSQL has no memory left, or no room for locks: `make doctor` tells max_locks_per_transaction",
        "others end and give back what they took; nothing was committed",
    ),
    RetryRule(
        (When(DATABASE, codes=("08", "53", "57P")), When(_OPERATIONAL, without_code=True)),
        "wait",
        "PostgreSQL is away",
        "it comes back without us; until then the files wait in the processing folder",
        may_be_a_disk=True,
    ),
    RetryRule(
        (When((OfTheJvm,)),),
        "renew",
        "Spark failed by itself",
        "a JVM that has gone wrong may stay so: one failed to read its own tasks until it was ended",
        may_be_a_disk=True,
    ),
)
UNKNOWN = RetryRule(
    (),
    "wait",
    "the micro-batch failed",
    "most failures of a task pass; the ledger keeps the error for whoever looks",
    may_be_a_disk=True,
)


def rule_for(error: BaseException | str, rules: Sequence[RetryRule] = RULES) -> RetryRule:
    """The first rule for this error, otherwise UNKNOWN: wait and try again. A text is what Spark made of an error."""
    failure = _failure_in(error, rules) if isinstance(error, str) else _failure_of(error)
    return next((rule for rule in rules if any(when.holds(failure) for when in rule.when)), UNKNOWN)


def is_wrong_password(error: psycopg.OperationalError) -> bool:
    """Whether PostgreSQL refused the password of a login."""
    return When(_OPERATIONAL, without_code=True, text=_REFUSED).holds(_failure_of(error))


def line_of(error: BaseException | str) -> str:
    """One line for people: "Class: message SQLSTATE: x", the code where PostgreSQL gave one.

    A text is what Spark made of an error: that of the Python traceback in it, if there is one, otherwise of the Java
    exception that was the cause.
    """
    return (_failure_in(error, RULES) if isinstance(error, str) else _failure_of(error)).line


def _failure_of(error: BaseException) -> Failure:
    kind = type(error)
    number = error.errno if isinstance(error, OSError) else None
    code = getattr(error, "sqlstate", None) or ""
    return _failure(kind, f"{kind.__module__}.{kind.__qualname__}", str(error), code, number)


def _failure_in(text: str, rules: Sequence[RetryRule]) -> Failure:
    """What Spark's text says. An error that a task raised has its class when a rule names it, or what it inherits."""
    _, traceback, tail = text.rpartition("Traceback (most recent call last):\n")
    if not traceback:
        return Failure(OfTheJvm, "", None, _java_line(text))
    raised = re.split(r"^(?=\S)", tail, maxsplit=1, flags=re.MULTILINE)[-1]
    raised = re.split(r"^( SQLSTATE: \w{5}|\tat |\s*Driver stacktrace:|=== )", raised, maxsplit=1, flags=re.M)[0]
    name, colon, message = raised.partition(":")
    if not colon or not re.fullmatch(r"[\w.]+", name):
        return Failure(Foreign, "", None, " ".join(raised.split()))
    kind = _class_named(name, rules)
    numbered = re.match(r"\s*\[Errno (\d+)\] ", message) if issubclass(kind, OSError) else None
    code = getattr(kind, "sqlstate", None)
    return _failure(kind, name, message, code if isinstance(code, str) else "", int(numbered[1]) if numbered else None)


def _java_line(text: str) -> str:
    lines = [line.strip().removeprefix("Caused by: ") for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if re.match(r"(\w+\.)+[A-Z][\w$]*: |\w+(Error|Exception): ", line)]
    ended = re.findall(r"terminated with exception: (.+)", text)
    return ((telling or ended or lines or [""])[-1]).strip()


def _class_named(name: str, rules: Sequence[RetryRule]) -> type[BaseException]:
    """The class that a traceback calls ``name``; nothing is imported for it, so an unknown one is Foreign."""
    named = {kind for rule in rules for when in rule.when for kind in when.classes}
    return next((kind for each in named for kind in _with_heirs(each) if _name_in_traceback(kind) == name), Foreign)


def _with_heirs(kind: type[BaseException]) -> Iterator[type[BaseException]]:
    yield kind
    for heir in kind.__subclasses__():
        yield from _with_heirs(heir)


def _name_in_traceback(kind: type[BaseException]) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _failure(kind: type[BaseException], name: str, message: str, code: str, number: int | None) -> Failure:
    """Its line leaves out the query and the rows that a message of PostgreSQL may quote."""
    if issubclass(kind, DATABASE):
        message = re.split(r"^(?:DETAIL|CONTEXT|HINT|LINE \d+): |^\s*Query was: |^\t", message, flags=re.MULTILINE)[0]
    line = f"{name}: {' '.join(message.split())}" + (f" SQLSTATE: {code}" if code else "")
    return Failure(kind, code, number, line)


def cut(line: str, limit: int = 400) -> str:
    """``line`` for people: at most ``limit`` characters of it."""
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
