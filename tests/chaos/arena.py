"""Where chaos happens: the whole pipeline, as `make run` starts it, on small disks, behind a network that can fail."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import psutil
import psycopg
from psycopg.rows import dict_row

from sluice.base.settings import PROJECT, Settings, load
from sluice.running import embedded, processes
from sluice.running.instance import Instance
from sluice.running.pipeline import Running
from tests.chaos import control as control_arm
from tests.chaos.landings import Landings
from tests.chaos.proxy import Proxy

START_SECONDS = 420
LITTLE_BYTES = 40 << 20
Row = dict[str, Any]


class ArenaError(RuntimeError):
    """The pipeline under test cannot be brought to where chaos may begin."""


class Disk:
    """A folder that can be filled to the last byte: a small tmpfs as root, otherwise a plain folder that cannot."""

    def __init__(self, folder: Path, megabytes: int) -> None:
        self.folder = folder
        folder.mkdir()
        options = f"size={megabytes}m,mode=755"
        mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        self.is_small = os.geteuid() == 0 and subprocess.run(mount, capture_output=True).returncode == 0

    @contextmanager
    def full(self, before: Callable[[], object]) -> Iterator[None]:
        """No byte is left while the block runs; ``before`` is called when little is, to give the pipeline work."""
        ballast = self.folder / "ballast"
        with ballast.open("wb", buffering=0) as file:
            while self._free() > LITTLE_BYTES:
                file.write(b"\0" * (1 << 20))
            before()
            for size in (1 << 20, 1 << 12):
                with contextlib.suppress(OSError):
                    while file.write(b"\0" * size) == size:
                        pass
        try:
            yield
        finally:
            ballast.unlink()

    def _free(self) -> int:
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize

    def close(self) -> None:
        """Take it away."""
        if self.is_small:
            subprocess.run(["umount", "-l", str(self.folder)], check=True)


class Arena:
    """One pipeline under test. Everything of Sluice reaches its database through ``proxy``, the harness directly."""

    def __init__(self, rounds: int, seed: str, *, control: bool = False) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="sluice-chaos-"))
        self.folder.chmod(0o755)
        self.state_disk = Disk(self.folder / "state", 512 + 40 * rounds)
        self.database_disk = Disk(self.folder / "database", 2048 + 80 * rounds)
        self.home = self.folder / "state" / "home"
        self._make_folders()
        self.is_control = control
        self.project = control_arm.project_with_two_transactions(self.folder / "project") if control else PROJECT
        self._port = embedded.free_port()
        self.proxy = Proxy(self._port)
        self.instance = Instance(Settings(home=str(self.home)))
        self.environment = self._environment(seed)
        self.settings = load(self.environment)
        self.kept = self.folder / "kept"
        self.kept.mkdir()
        self.landings = Landings(self.settings.incoming_dir, self.settings.processing_dir, self.kept)
        self.unloaded: set[str] = set()  # names of files that a fault has taken back on purpose
        self.twins: list[str] = []  # lines with the ids of the file that landed last, of another year
        self._launcher: subprocess.Popen[bytes] | None = None
        self._connections: dict[str, psycopg.Connection[Row]] = {}

    def start(self) -> None:
        """Run the pipeline until its first file is loaded."""
        self.landings.start()
        log = (self.folder / "launcher.log").open("ab")
        command = [sys.executable, "-m", "sluice", "run"]
        self._launcher = subprocess.Popen(
            command,
            cwd=self.project,
            env=self.environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=processes.follow_parent(signal.SIGTERM),
        )
        log.close()
        self.wait_for(lambda: (told := self.told()) is not None and told.ready, START_SECONDS, "the first loaded file")

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``python -m sluice`` with ``arguments``, as a user would."""
        return subprocess.run(
            [sys.executable, "-m", "sluice", *arguments],
            cwd=self.project,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=900,
        )

    def close(self, *, keep: bool) -> list[str]:
        """End everything; return what would not go by itself. With ``keep`` the logs stay."""
        left = self._stop()
        self.landings.close()
        self.proxy.close()
        for connection in self._connections.values():
            connection.close()
        for disk in (self.state_disk, self.database_disk):
            disk.close()
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)
        return left

    def told(self) -> Running | None:
        """What the launcher says of itself."""
        return self.instance.last_said()

    def wait_for(self, what: Any, seconds: float, name: str) -> None:
        """Poll ``what`` until it is true; raises ArenaError, with the end of the launcher's log, when it does not."""
        deadline = time.monotonic() + seconds
        while not what():
            assert self._launcher is not None
            if self._launcher.poll() is not None:
                raise ArenaError(f"the launcher ended while waiting for {name}:\n{self.launcher_log()}")
            if time.monotonic() > deadline:
                raise ArenaError(f"{name}: not within {seconds:g} s:\n{self.launcher_log()}")
            time.sleep(0.1)

    def launcher_log(self) -> str:
        """Its last lines."""
        text = (self.folder / "launcher.log").read_text(errors="replace")
        return "\n".join(text.splitlines()[-25:])

    # --- the databases, not through the proxy

    @property
    def direct_url(self) -> str:
        """URL of the pipeline's database, as its owner, past the proxy."""
        return self._url("sluice_owner")

    def rows(self, query: str, parameters: Any = None, *, role: str = "sluice_owner") -> list[Row]:
        """Ask the pipeline's database (as ``airflow``: Airflow's); nothing when it does not answer."""
        try:
            connection = self._connections.get(role)
            if connection is None or connection.closed:
                connection = psycopg.connect(
                    self._url(role), autocommit=True, row_factory=dict_row, application_name="chaos", connect_timeout=5
                )
                self._connections[role] = connection
            return connection.execute(query, parameters).fetchall()  # type: ignore[arg-type]
        except psycopg.OperationalError:
            self._connections.pop(role, None)
            return []

    # --- its processes

    def postmaster(self) -> psutil.Process:
        """The server itself."""
        found = embedded.running(self.home / "postgres" / "pgdata")
        if found is None:
            raise ArenaError("no PostgreSQL runs")
        return found

    def component(self, name: str) -> psutil.Process:
        """One of Airflow's components, by the launcher's name for it."""
        told = self.told()
        assert told is not None
        return psutil.Process(told.pids[name])

    def members(self, *needles: str) -> list[psutil.Process]:
        """The pipeline's processes whose command line holds all of ``needles``."""
        found = []
        for process in processes.members(self.home):
            with contextlib.suppress(psutil.Error):
                line = " ".join(process.cmdline())
                if all(needle in line for needle in needles):
                    found.append(process)
        return found

    def healthy(self) -> bool:
        """Whether the launcher's processes all live."""
        told = self.told()
        if told is None or not told.pids:
            return False
        return all(self.instance.processes(told).values())

    def _stop(self) -> list[str]:
        if self._launcher is not None and self._launcher.poll() is None:
            self._launcher.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._launcher.wait(120)
        left = [str(process) for process in processes.members(self.home)]
        for process in processes.members(self.home):
            with contextlib.suppress(psutil.Error):
                process.kill()
        if embedded.stop_running(self.home / "postgres" / "pgdata"):
            left.append("postgres")
        return left

    def _url(self, role: str) -> str:
        if role != "postgres":
            return self.instance.role_url(role, self._port)
        password = (self.home / "postgres" / "password").read_text()
        return f"postgresql://postgres:{password}@127.0.0.1:{self._port}/sluice"

    def _make_folders(self) -> None:
        """State on one small disk, the database on another; Airflow and the logs, which say it, on neither."""
        self.home.mkdir(mode=0o755)
        (self.folder / "database" / "postgres").mkdir()
        (self.home / "postgres").symlink_to(self.folder / "database" / "postgres")
        for name in ("airflow", "logs"):
            (self.folder / name).mkdir()
            (self.home / name).symlink_to(self.folder / name)

    def _environment(self, seed: str) -> dict[str, str]:
        blank = {f"SLUICE_{field.name.upper()}": "" for field in fields(Settings)}
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("SLUICE_", "AIRFLOW"))}

        def through_proxy(role: str) -> str:
            return self.instance.role_url(role, self.proxy.port)

        ours = {
            "SLUICE_HOME": str(self.home),
            "SLUICE_WEB_PORT": "0",
            "SLUICE_POSTGRES_PORT": str(self._port),
            "SLUICE_DATABASE_URL": through_proxy("sluice_owner"),
            "SLUICE_WRITER_URL": through_proxy("sluice_writer"),
            "SLUICE_READER_URL": through_proxy("sluice_reader"),
            "SLUICE_GENERATE_ROWS": "3000",
            "SLUICE_GENERATE_RHYTHM": "off",
            "SLUICE_GENERATE_SEED": seed,
        }
        return kept | blank | ours | {"PYTHONPATH": str(self.project)}
