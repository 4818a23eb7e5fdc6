"""What every error of the loading side means, and what is done about it: data, in one place, each rule with its reason.

Both ask here: the loader, about what became of one file, and the driver, about what ended its query. An error is judged
by one line, "Class: message SQLSTATE: x" (``line_of``). A rule that does more than wait names the class at the start of
that line or the code at its end, so that what a file holds can never choose a rule.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import psycopg

# Exit codes of the driver.
FENCED, ORPHANED, STOPPED = 3, 4, 5

_DATABASE = r"^(psycopg|adbc_driver_manager)\.[\w.]+: "


@dataclass(frozen=True)
class RetryRule:
    """``pattern`` is looked for in an error's line; ``says`` is for people, with the remedy; ``reason`` says why.

    Actions: ``again`` (load the same file again at once, a few times), ``later`` (the file waits for a later
    micro-batch, and holds up no other), ``quarantine`` (the file is wrong: it is set
    aside), ``return`` (the file goes back to the landing folder), ``hold`` (the file waits in the ledger until the
    contracts change), ``wait`` (and try again for as long as it takes),
    ``forget`` (put the checkpoint aside, then as ``wait``), ``stop`` (the environment is wrong: the stream ends with
    the remedy), ``end`` (another stream writes now).
    """

    pattern: str
    action: str
    says: str
    reason: str


RULES = (
    RetryRule(
        r"^([\w.]+\.)?StreamFenced: ",
        "end",
        "another stream has taken over",
        "a fenced epoch can never write again; the newer stream loads what this one left",
    ),
    RetryRule(
        r"^sluice\.[\w.]+\.(FileRejectedError|UnreadableFileError|BlockTooLargeError): ",
        "quarantine",
        "the file is wrong: its error in ledger.files says what to correct before it is landed again",
        "the same bytes fail in the same way each time, and one bad file must not stop the others",
    ),
    RetryRule(
        r"^sluice\.loading\.load_file\.FileChangedError: ",
        "return",
        "the file changed after it was registered: it is taken again when it is complete",
        "a producer went on writing; what it means to deliver is not known before it is done",
    ),
    RetryRule(
        _DATABASE + r".*SQLSTATE: (23505|40P01|40001)$",
        "again",
        "others wrote the same rows at the same time",
        "one of them has committed by now, so the same file meets it as duplicates, or waits for its locks",
    ),
    RetryRule(
        r"^sluice\.loading\.staging\.RowsMovedError: ",
        "again",
        "a file was taken back whose rows this one has as well",
        "the same file finds the row gone, or under the file that has it now",
    ),
    RetryRule(
        _DATABASE + r".*SQLSTATE: 55P03$",
        "later",
        "an unload, a replay or another load holds rows that this file needs: it is loaded when they are free",
        "who waits in a micro-batch holds up every file of it, and the lock may be held for long",
    ),
    RetryRule(
        _DATABASE + r".*SQLSTATE: (21|22|23|54|P0)\w{3}$"
        r"|^builtins\.(ValueError|TypeError|KeyError|IndexError|AssertionError|OverflowError|RecursionError): "
        r"|^builtins\.Unicode\w+: |^pyarrow\.lib\.Arrow(?!Memory|Cancelled)\w+: "
        r"|^_duckdb\.(?!IO|Connection|Permission|Interrupt|OutOfMemory)\w+: ",
        "quarantine",
        "the file cannot be loaded though no contract forbids it: report the defect, land the file again later",
        "what is made of a file's values would fail in the same way each time, and one file must not stop the others",
    ),
    RetryRule(
        r"^sluice\.landing\.folders\.FoldersError: ",
        "wait",
        "a folder of the pipeline is not there: mount it, or adopt a new one with `make adopt`",
        "what an empty mount point lacks is not gone; as soon as the folder is back, the files in it are loaded",
    ),
    RetryRule(
        r"^sluice\.contracts\.model\.ContractError: ",
        "hold",
        "a contract cannot be used: correct it under include/contracts; the files that wait for it are loaded by then",
        "which contract a file has is not known before all can be read; the other feeds need not wait for that",
    ),
    RetryRule(
        _DATABASE + r".*(SQLSTATE: 53100$|No space left on device)",
        "wait",
        "the disk of PostgreSQL's data folder is full: free space there",
        "nothing was committed; the same files load as soon as there is space",
    ),
    RetryRule(
        r"^(?!psycopg|adbc_driver_manager).*(No space left on device|Disk quota exceeded)",
        "wait",
        "a disk of the stream's machine is full: free space",
        "nothing was committed; checkpoint and temporary files are written anew as soon as there is space",
    ),
    RetryRule(
        r"^(builtins\.)?(OSError|PermissionError|FileNotFoundError|NotADirectoryError|TimeoutError): \[Errno \d+\] ",
        "wait",
        "a file cannot be read or written now: look at its disk, its mount and its permissions",
        "a disk or a mount that answers again gives the same bytes; what they are is then held against the ledger",
    ),
    RetryRule(
        r"^(psycopg|adbc_driver_manager)\.([\w.]*\.)?OperationalError: .*connection to server at .* failed: FATAL: "
        r"(password authentication failed|no pg_hba\.conf entry|(role|database) \".*\" does not exist|"
        r"permission denied|role \".*\" is not permitted)",
        "stop",
        "PostgreSQL refuses the login: correct SLUICE_WRITER_URL (or the role's password, or pg_hba.conf), then start "
        "the pipeline again",
        "the environment of a process cannot change while it lives, so the same login is refused for ever",
    ),
    RetryRule(
        r"^(?!psycopg|adbc_driver_manager).*(Incomplete log file|Failed to read log file)",
        "forget",
        "the checkpoint is damaged: it is put aside, as checkpoint.damaged, and a new one is begun",
        "a file that a power cut left torn never heals; what is loaded is decided in the ledger, not in the checkpoint",
    ),
    RetryRule(
        _DATABASE + r".*SQLSTATE: (28|3D)\w{3}$",
        "stop",
        "PostgreSQL refuses the login: correct SLUICE_WRITER_URL (or the role's password, or pg_hba.conf), then start "
        "the pipeline again",
        "the environment of a process cannot change while it lives, so the same login is refused for ever",
    ),
    RetryRule(
        _DATABASE + r".*SQLSTATE: 42\w{3}$",
        "stop",
        "the schema or its grants are not as Sluice left them: `make up` applies the migrations and grants",
        "no later attempt of this program can find another schema; whoever changed it must know at once",
    ),
    RetryRule(
        _DATABASE + r".*(SQLSTATE: 53300$|too many clients|remaining connection slots)",
        "wait",
        "PostgreSQL has no connection left: end sessions that nobody needs, or raise max_connections",
        "sessions end by themselves sooner or later; the files wait in the ledger",
    ),
    RetryRule(
        _DATABASE + r".*SQLSTATE: (08|53|57P)\w*$"
        r"|^(psycopg|adbc_driver_manager)\.([\w.]*\.)?OperationalError: (?!.*SQLSTATE: \w{5}$)",
        "wait",
        "PostgreSQL is away",
        "it comes back without us; until then the files wait in the processing folder",
    ),
)
UNKNOWN = RetryRule(
    "", "wait", "the micro-batch failed", "most failures of a task pass; the ledger keeps the error for whoever looks"
)


def rule_for(line: str) -> RetryRule:
    """The first rule whose pattern an error's line holds, otherwise UNKNOWN: wait and try again."""
    return next((rule for rule in RULES if re.search(rule.pattern, line)), UNKNOWN)


def line_of(error: BaseException | str) -> str:
    """The line that an error is judged by: "Class: message SQLSTATE: x", the code where PostgreSQL gave one.

    A text is what Spark made of an error: that of the Python traceback in it, if there is one, otherwise of the Java
    exception that was the cause.
    """
    if isinstance(error, str):
        return _line_of_text(error)
    kind = type(error)
    return _line(f"{kind.__module__}.{kind.__qualname__}", str(error), getattr(error, "sqlstate", None) or "")


def _line_of_text(text: str) -> str:
    _, traceback, tail = text.rpartition("Traceback (most recent call last):\n")
    if traceback:
        raised = re.split(r"^(?=\S)", tail, maxsplit=1, flags=re.MULTILINE)[-1]
        raised = re.split(r"^( SQLSTATE: \w{5}|\tat |\s*Driver stacktrace:|=== )", raised, maxsplit=1, flags=re.M)[0]
        kind, colon, message = raised.partition(":")
        if colon and re.fullmatch(r"[\w.]+", kind):
            return _line(kind, message)
        return " ".join(raised.split())
    lines = [line.strip().removeprefix("Caused by: ") for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if re.match(r"(\w+\.)+[A-Z][\w$]*: |\w+(Error|Exception): ", line)]
    ended = re.findall(r"terminated with exception: (.+)", text)
    return ((telling or ended or lines or [""])[-1]).strip()


def _line(kind: str, message: str, code: str = "") -> str:
    """One line without the query and the rows that a message of PostgreSQL may quote."""
    name = kind.removeprefix("psycopg.errors.")
    if not code and name != kind:
        code = getattr(getattr(psycopg.errors, name, None), "sqlstate", None) or ""
    if match := re.search(r"\. SQLSTATE: (\w{5})\s*$", message):
        message, code = message[: match.start()], code or match[1]
    if re.match(_DATABASE, f"{kind}: "):
        message = re.sub(r"(Failed to \w+ query) '.*?': (?=[A-Z]+: )", r"\1: ", message, flags=re.DOTALL)
        message = re.split(r"^(?:DETAIL|CONTEXT|HINT|LINE \d+): |^\s*Query was: |^\t", message, flags=re.MULTILINE)[0]
    return f"{kind}: {' '.join(message.split())}" + (f" SQLSTATE: {code}" if code else "")


def cut(line: str, limit: int = 400) -> str:
    """``line`` for people: at most ``limit`` characters of it."""
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
