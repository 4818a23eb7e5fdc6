"""The command line: ``python -m sluice COMMAND``. The Makefile's targets call it."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg

from sluice import containers
from sluice.base import database, permissions
from sluice.base.settings import PROJECT, SettingError, load, refuse_unknown
from sluice.landing import folders
from sluice.ledger import insist, quarantine, receipts
from sluice.ledger.migrate import MigrationError
from sluice.loading import restore, unload
from sluice.running import dag_params, embedded, load_watch, shutdown, status
from sluice.running.embedded import EmbeddedError
from sluice.running.instance import WEB_USER, Instance, InstanceError, read_env_file, rotate, tail
from sluice.running.java import JavaError
from sluice.running.launcher import Launcher

UP_SECONDS = 420.0
_DOWN_SECONDS = 90.0
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
    folders.FoldersError,
    folders.AdoptError,
    dag_params.DagParamsError,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code. What a user can mend is one clear sentence, not a traceback."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    # What follows these two belongs to the program that they run, options too.
    own = words[:1] if words[:1] in (["psql"], ["airflow"]) else words
    parsed = _parser().parse_args(own)
    parsed.arguments = words[len(own) :]
    try:
        _read_env_file(PROJECT / ".env")
        refuse_unknown(os.environ)
        permissions.be_private(load())
        instance = containers.Containers(load()) if containers.inside() else Instance(load())
        code: int = parsed.command(instance, parsed)
        return code
    except _EXPECTED as error:
        print(f"sluice: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130


def _read_env_file(path: Path) -> None:
    try:
        read_env_file(path, os.environ)
    except OSError as error:
        raise SettingError(f"{path} cannot be read ({error.strerror}): give it to this user, or delete it") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sluice", description="Runs Sluice and tells what it does.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Callable[[Instance, argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(command=command)
        return added

    run = add("run", _run, "run the pipeline in the foreground until Ctrl-C")
    run.add_argument("--live-every", type=float, default=5.0, help="seconds between lines when not on a terminal")
    up = add("up", _up, "run it in the background; return when the first file is loaded")
    up.add_argument("--timeout", type=float, default=UP_SECONDS, help="seconds to wait (default %(default)g)")
    add("down", _down, "stop it, and whatever a killed launcher left behind")
    add("login", _login, "tell the user and password of the web UI")
    add("status", _status, "tell what it does").add_argument("--json", action="store_true", help="as JSON")
    load_one = add("load", _load, "land a copy of a CSV, wait for its ledger state, print its tally")
    load_one.add_argument("file", type=Path)
    load_one.add_argument("--stdin", action="store_true", help="its bytes come from standard input, FILE is its name")
    load_one.add_argument(
        "--insist", metavar="REASON", help="load it although it undoes a newer revision; the audit keeps the reason"
    )
    load_one.add_argument("--timeout", type=float, default=900.0, help="seconds to wait (default %(default)g)")
    add("psql", _psql, "open SQL as the owner; arguments are psql's")
    dags_test = add("dags-test", _dags_test, "run one DAG from start to end with `airflow dags test`")
    dags_test.add_argument("dag_id")
    dags_test.add_argument("--conf", default="", help="its parameters, a JSON object")
    add("airflow", _airflow, "run an airflow command; arguments are airflow's")
    line = add("airflow-line", _airflow_line, "run an airflow command that is one text, quoted as in a shell")
    line.add_argument("line")
    add("env", _env, "print the environment of Airflow's processes as export lines")
    add("reconcile", _reconcile, "recount conservation from the files and the tables")
    backup = add("backup", _backup, "dump the pipeline's database; it may run meanwhile")
    backup.add_argument("file", type=Path, nargs="?", help="default: backups/sluice-<now>.dump")
    back = add("restore", _restore, "go back to a backup; what landed since then lands again")
    back.add_argument("file", type=Path)
    back.add_argument("--copy-sealed", action="store_true", help="copy rows over whose files are gone")
    back.add_argument(
        "--discard-replaced",
        action="store_true",
        help="go on although the database that the last restore replaced alone has rows of files that are gone",
    )
    add("copy-sealed", _copy_sealed, "after a restore: copy rows over whose files are gone")
    add("reland", _reland, "after a restore with other tools: land again what the ledger does not know")
    add("adopt", _adopt, "make the folders processing and archive, as they are now, this pipeline's own")
    _choosing(add("rejects", _rejects, "show the quarantine by rule, with examples"))
    _choosing(add("replay", _replay, "judge the quarantine again, load what passes now"))
    unload_one = add("unload", _unload, "take one loaded file's rows out of events and the reports")
    unload_one.add_argument("file_id", type=int)
    unload_one.add_argument("reason", nargs="?", default="", help="why, for the audit")
    unload_one.add_argument("--dry-run", action="store_true", help="only tell what would leave, and what would stay")
    unload_one.add_argument(
        "--with-duplicates",
        action="store_true",
        help="take back the files with the same bytes too (default: one loads)",
    )
    receipt = add("receipt", _receipt, "verify one file's rows against its receipt; print both as JSON")
    receipt.add_argument("file_id", type=int)
    insisting = add("insist", _insist, "load a file that was set aside because it would undo a newer revision")
    insisting.add_argument("file_id", type=int)
    insisting.add_argument("reason", help="why, for the audit")
    contract = add(
        "contract", _contract, "draft a contract from a CSV file; exit code 3 when a person must complete it"
    )
    contract.add_argument("file", type=Path)
    contract.add_argument("--name", help="the feed's name (default: from the file's)")
    contract.add_argument("--output", "-o", type=Path, help="write it to this file or folder (default: print it)")
    add("contracts", _contracts, "check every contract, and its changes since the last release")
    return parser


def _choosing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--contract", help="only rejects of this contract")
    parser.add_argument("--rule", help="only rejects that break this rule")
    parser.add_argument("--file-id", type=int, help="only rejects of this file")


def _run(instance: Instance, parsed: argparse.Namespace) -> int:
    return Launcher(instance, live_every=parsed.live_every).run()


def _up(instance: Instance, parsed: argparse.Namespace) -> int:
    """Start the launcher detached, pass on what it says, return when it is ready."""
    if (running := instance.running()) is not None:
        print(f"the pipeline already runs (pid {running.pid}, {running.url}): `make down` ends it")
        return 0
    instance.make_folders()
    log = instance.log_dir / "launcher.log"
    rotate(log, 5_000_000)
    with log.open("ab") as output:
        start = output.tell()
        launcher = subprocess.Popen(
            [sys.executable, "-u", "-m", "sluice", "run", "--live-every=10"],
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        return _wait_until_ready(instance, launcher, log, start, parsed.timeout)
    except KeyboardInterrupt:
        launcher.send_signal(signal.SIGTERM)
        launcher.wait()
        raise


def _wait_until_ready(
    instance: Instance, launcher: subprocess.Popen[bytes], log: Path, start: int, timeout: float
) -> int:
    deadline = time.monotonic() + timeout
    with log.open(errors="replace") as said:
        said.seek(start)
        while True:
            ended = launcher.poll()
            running = instance.running()
            print(said.read(), end="", flush=True)
            if ended is not None:
                raise InstanceError(f"the launcher ended (exit code {ended}); its log is {log}")
            if running is not None and running.pid == launcher.pid and running.ready:
                print(f"up: `make status` tells what it does, `make down` ends it; the log is {log}")
                return 0
            if time.monotonic() > deadline:
                raise InstanceError(
                    f"no result within {timeout:g} s; it still runs (`make status`, `make down`). The end of {log}:\n"
                    f"{tail(log)}"
                )
            time.sleep(0.2)


def _down(instance: Instance, parsed: argparse.Namespace) -> int:
    running = instance.running()
    if running is not None:
        print(f"stopping the pipeline in {instance.home} …", flush=True)
        try:
            os.kill(running.pid, signal.SIGTERM)
        except ProcessLookupError:
            print("the launcher is dead: its guard ends the rest", flush=True)
    deadline = time.monotonic() + _DOWN_SECONDS
    while instance.is_locked() and time.monotonic() < deadline:
        time.sleep(0.1)
    left = shutdown.end_everything(instance, print)
    instance.forget()
    print("stopped: no process is left" if left or running else "nothing was running")
    return 0


def _login(instance: Instance, parsed: argparse.Namespace) -> int:
    print(f"user {WEB_USER}   password {instance.secrets()['web_password']}")
    return 0


def _status(instance: Instance, parsed: argparse.Namespace) -> int:
    found = status.report(instance)
    print(json.dumps(found, indent=2, default=str) if parsed.json else status.text(found))
    return status.exit_code(found)


def _load(instance: Instance, parsed: argparse.Namespace) -> int:
    if not parsed.stdin:
        return _land_and_watch(instance, parsed.file, parsed)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / parsed.file.name
        with copy.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        return _land_and_watch(instance, copy, parsed)


def _land_and_watch(instance: Instance, source: Path, parsed: argparse.Namespace) -> int:
    return load_watch.load(
        instance,
        source,
        _say,
        parsed.timeout,
        insist_because=parsed.insist,
        by_whom=_by_whom(),
    )


def _by_whom() -> str:
    return f"{getpass.getuser()} (command line)"


def _say(line: str) -> None:
    """A name of a file may hold what a terminal takes for a command, or a line break."""
    print(quarantine.escaped(line), flush=True)


def _psql(instance: Instance, parsed: argparse.Namespace) -> int:
    url = instance.with_urls(_port(instance)).owner_dsn
    bundled = embedded.binaries(instance.settings.postgres_bin) / "psql"
    program = str(bundled) if bundled.exists() else shutil.which("psql")
    if program is None:
        raise InstanceError("there is no psql in SLUICE_POSTGRES_BIN or PATH: install it, or unset SLUICE_POSTGRES_BIN")
    # The URL holds a password: it travels in the environment, where other users cannot read it.
    parts = psycopg.conninfo.conninfo_to_dict(url)
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE"}
    os.environ.update({names[key]: str(value) for key, value in parts.items() if key in names})
    os.execv(program, [program, *parsed.arguments])


def _port(instance: Instance) -> int:
    """The embedded server's port; 0 when it does not run and is not needed."""
    running = instance.running()
    if running is None and not instance.settings.database_url:
        raise InstanceError(f"the pipeline in {instance.home} is not running: start it with `make up` or `make run`")
    return running.postgres_port if running else 0


def _airflow(instance: Instance, parsed: argparse.Namespace) -> int:
    """Run the command beside a running pipeline; otherwise with a database server for as long as it takes."""
    program = str(Path(sys.executable).parent / "airflow")
    if (running := instance.running()) is not None:
        return subprocess.call([program, *parsed.arguments], env=instance.environment(running), cwd=PROJECT)
    with Launcher(instance).only_database() as environment:
        return subprocess.call([program, *parsed.arguments], env=environment, cwd=PROJECT)


def _airflow_line(instance: Instance, parsed: argparse.Namespace) -> int:
    try:
        parsed.arguments = shlex.split(parsed.line)
    except ValueError as error:
        raise InstanceError(f"ARGS={parsed.line!r} cannot be split into words: {error}") from error
    return _airflow(instance, parsed)


def _dags_test(instance: Instance, parsed: argparse.Namespace) -> int:
    dag_params.check(parsed.dag_id, parsed.conf)
    parsed.arguments = ["dags", "test", parsed.dag_id, *(["--conf", parsed.conf] if parsed.conf.strip() else [])]
    return _airflow(instance, parsed)


def _env(instance: Instance, parsed: argparse.Namespace) -> int:
    running = instance.running()
    if running is None:
        raise InstanceError(f"the pipeline in {instance.home} is not running: start it with `make up` or `make run`")
    for key, value in sorted(instance.environment(running, environ={}).items()):
        print(f"export {key}={shlex.quote(value)}" if key != "PATH" else f'export PATH={shlex.quote(value)}:"$PATH"')
    return 0


def _reconcile(instance: Instance, parsed: argparse.Namespace) -> int:
    from sluice.proof import reconcile  # its imports are heavy, and only needed here

    settings = instance.with_urls(_port(instance))
    os.environ |= {
        "SLUICE_DATABASE_URL": settings.database_url,
        "SLUICE_WRITER_URL": settings.writer_url,
        "SLUICE_READER_URL": settings.reader_url,
    }
    code: int = reconcile.main()
    return code


def _backup(instance: Instance, parsed: argparse.Namespace) -> int:
    target = _backup_file(parsed.file)
    with _server(instance) as server:
        restore.dump(server.url(restore.LIVING), server.bin_dir / "pg_dump", target)
    size, again = target.stat().st_size, shlex.quote(f"FILE={target}")
    print(f"the backup is {target}, {size:,} bytes: `make restore {again}` goes back to it")
    return 0


def _backup_file(given: Path | None) -> Path:
    name = f"sluice-{time.strftime('%Y%m%d-%H%M%S')}.dump"
    target = given or PROJECT / "backups" / name
    target = target / name if target.is_dir() else target
    if target.exists():
        raise InstanceError(f"{target} exists already: name another file, or delete it first")
    return target


def _restore(instance: Instance, parsed: argparse.Namespace) -> int:
    if not parsed.file.is_file():
        raise InstanceError(f"{parsed.file} is not a file: name a backup that `make backup` made")
    _check_that_it_stands_still(instance)
    with _server(instance) as server:
        found = restore.restore(
            instance.settings,
            server.url,
            _owner_url(instance, server),
            server.bin_dir / "pg_restore",
            parsed.file,
            print,
            copy_sealed=parsed.copy_sealed,
            discard_replaced=parsed.discard_replaced,
        )
    for line in found.lines():
        _say(line)
    return 0


def _copy_sealed(instance: Instance, parsed: argparse.Namespace) -> int:
    _check_that_it_stands_still(instance)
    with _server(instance) as server:
        copied = restore.copy_sealed(instance.settings, server.url, _owner_url(instance, server))
    for line in copied.lines():
        _say(line)
    return 0


def _check_that_it_stands_still(instance: Instance) -> None:
    if (running := instance.running()) is not None:
        raise InstanceError(f"the pipeline runs (pid {running.pid}): `make down` first, then this, then `make up`")


def _owner_url(instance: Instance, server: embedded.Server) -> restore.Url:
    password = instance.secrets()["sluice_owner"]
    return lambda name: server.url(name, "sluice_owner", password)


def _reland(instance: Instance, parsed: argparse.Namespace) -> int:
    with database.connect(instance.with_urls(_port(instance)).owner_dsn, application_name="sluice-reland") as ledger:
        found = restore.reland(instance.settings, ledger)
    for line in found.lines():
        _say(line)
    return 0


def _adopt(instance: Instance, parsed: argparse.Namespace) -> int:
    with database.connect(instance.with_urls(_port(instance)).owner_dsn, application_name="sluice-adopt") as ledger:
        print("\n".join(folders.adopt(instance.settings, ledger)))
    return 0


@contextmanager
def _server(instance: Instance) -> Iterator[embedded.Server]:
    """The embedded server: the one that runs, or one for as long as it takes."""
    if instance.settings.database_url:
        raise InstanceError(
            "the database is on your own server: back it up and restore it with that server's tools; after a restore, "
            "with the pipeline stopped, `python -m sluice reland` lands again what the ledger does not know"
        )
    if (running := instance.running()) is not None:
        folder = embedded.binaries(instance.settings.postgres_bin)
        yield embedded.Server(instance.postgres_dir, folder, port=running.postgres_port)
        return
    launcher = Launcher(instance)
    with launcher.only_database(with_airflow=False):
        yield launcher.server


def _rejects(instance: Instance, parsed: argparse.Namespace) -> int:
    with database.connect(instance.with_urls(_port(instance)).reader_dsn) as connection:
        found = quarantine.lines(connection, contract=parsed.contract, rule=parsed.rule, file_id=parsed.file_id)
    print("\n".join(found))
    return 0


def _replay(instance: Instance, parsed: argparse.Namespace) -> int:
    from sluice.loading import replay  # its imports are heavy, and only needed here

    settings = instance.with_urls(_port(instance))
    tally = replay.replay(settings, contract=parsed.contract, rule=parsed.rule, file_id=parsed.file_id)
    print(json.dumps(tally.as_dict(), indent=2, ensure_ascii=False))
    return 1 if tally.not_judged else 0


def _unload(instance: Instance, parsed: argparse.Namespace) -> int:
    settings = instance.with_urls(_port(instance))
    left = unload.unload_file(
        settings,
        parsed.file_id,
        parsed.reason,
        by_whom=_by_whom(),
        with_duplicates=parsed.with_duplicates,
        dry_run=parsed.dry_run,
    )
    print(json.dumps(left.as_dict(), indent=2, ensure_ascii=False))
    return 0


def _receipt(instance: Instance, parsed: argparse.Namespace) -> int:
    with database.connect(instance.with_urls(_port(instance)).reader_dsn) as connection:
        found = receipts.verify(connection, parsed.file_id)
    if found is None:
        raise InstanceError(f"there is no file {parsed.file_id}: the files are in ledger.files")
    print(json.dumps(found, indent=2, ensure_ascii=False))
    return 1 if found["holds"] is False else 0


def _insist(instance: Instance, parsed: argparse.Namespace) -> int:
    settings = instance.with_urls(_port(instance))
    with database.connect(settings.writer_dsn, application_name="sluice-insist") as connection:
        name = insist.land_again(connection, settings.home_dir, parsed.file_id, parsed.reason, _by_whom())
    print(f"file {parsed.file_id} ({name}) waits to be loaded again; `make status` tells when the stream is at it")
    return 0


def _contract(instance: Instance, parsed: argparse.Namespace) -> int:
    from sluice.contracts import draft, model, profile  # their imports are heavy, and only needed here
    from sluice.reading import landed_bytes

    folder = instance.settings.contracts_dir
    try:
        return draft.write(parsed.file, name=parsed.name, output=parsed.output, contracts=folder)
    except (OSError, profile.ProfileError, landed_bytes.UnreadableFileError, model.ContractError) as error:
        raise InstanceError(str(error)) from error


def _contracts(instance: Instance, parsed: argparse.Namespace) -> int:
    from sluice.contracts import check  # its imports are heavy, and only needed here

    lines, is_well = check.check(instance.settings.contracts_dir)
    print("\n".join(lines))
    return 0 if is_well else 1
