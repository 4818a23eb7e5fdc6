"""What `make doctor` looks at on the machine, whether the pipeline runs or not: nothing here asks the database."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement

from sluice.base import disks
from sluice.base.permissions import PASSABLE
from sluice.base.settings import PROJECT, Settings
from sluice.contracts.folder import read_contracts
from sluice.contracts.judge import Judge
from sluice.duty.finding import Finding, advice, fine, unknown, wrong
from sluice.landing import incoming
from sluice.running import embedded, java, web
from sluice.running.instance import Instance
from sluice.running.pipeline import Running

LOCK = PROJECT / "requirements.lock"
# A disk with less than both of these is nearly full.
_FREE_BYTES, _FREE_SHARE = 5e9, 0.05
_CLOCK_SECONDS = 60.0
_SHOWN = 5


def java_and_versions() -> Iterator[Finding]:
    """Java for Spark, and the packages that the lock names."""
    home = java.home()
    if home is None:
        do = f"install Java {java.OLDEST} or later (Debian, Ubuntu: openjdk-17-jre-headless), or set JAVA_HOME to one"
        yield wrong("java", f"no Java {java.OLDEST} or later in JAVA_HOME or PATH: Spark cannot start", do)
    else:
        yield fine("java", f"Java {java.version_of(home / 'bin' / 'java')} in {home}")
    others = list(_other_versions()) if LOCK.exists() else []
    python = ".".join(map(str, sys.version_info[:3]))
    if not LOCK.exists():
        yield unknown("versions", f"Python {python}; {LOCK} is not there to compare with")
    elif others:
        more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
        do = "`make up` installs what the lock names; after a pull, any target of make does"
        yield wrong("versions", f"other packages than {LOCK.name} names: {', '.join(others[:_SHOWN])}{more}", do)
    else:
        yield fine("versions", f"Python {python}, and the packages are those of {LOCK.name}")


def _other_versions() -> Iterator[str]:
    for line in LOCK.read_text(encoding="utf-8").splitlines():
        if not line[:1].isalnum():
            continue
        wanted = Requirement(line.partition(" \\")[0])
        if wanted.marker is not None and not wanted.marker.evaluate():
            continue
        try:
            have = importlib.metadata.version(wanted.name)
        except importlib.metadata.PackageNotFoundError:
            yield f"{wanted.name} is missing"
            continue
        if not wanted.specifier.contains(have, prereleases=True):
            yield f"{wanted.name} {have} ({wanted.specifier})"


def disk(settings: Settings, used: str) -> Iterator[Finding]:
    """The disks that the pipeline writes to; ``used`` says what uses them."""
    do = f"free space, or move SLUICE_HOME to a larger disk. What uses it: {used}"
    full = disks.full(disks.folders(settings))
    for sentence in full:
        yield wrong("disk", sentence, do)
    place = next(folder for folder in (settings.home_dir, *settings.home_dir.parents) if folder.exists())
    total, _, free = shutil.disk_usage(place)
    if not full and free < min(_FREE_BYTES, _FREE_SHARE * total):
        yield advice("disk", f"the disk of {place} is nearly full: {free / 1e9:.2f} GB of {total / 1e9:.1f} left", do)
    elif not full:
        yield fine("disk", f"{free / 1e9:,.1f} GB free; used: {used}")


def ports(instance: Instance, running: Running | None) -> Iterator[Finding]:
    """Whether what should listen does, or could."""
    if running is not None:
        yield from _ports_of_the_running(instance, running)
        return
    settings, known = instance.settings, embedded.known_port(instance.postgres_dir)
    given = {"SLUICE_WEB_PORT": settings.web_port, "SLUICE_POSTGRES_PORT": settings.postgres_port}
    taken = {name: port for name, port in given.items() if port and not embedded.is_free(port)}
    for name, port in taken.items():
        do = f"stop that program, or set {name} to another port (0: any free one)"
        yield wrong("ports", f"port {port} ({name}) belongs to another program", do)
    if not settings.postgres_port and known and not embedded.is_free(known):
        do = "stop that program, or tell your BI tools the new port after the start (`make connection`)"
        yield advice(
            "ports", f"port {known}, PostgreSQL's until now, belongs to another program: it takes a new one", do
        )
    elif not taken:
        port = settings.postgres_port or known
        yield fine("ports", f"free: {settings.web_port or 'any'} for the web UI, {port or 'any'} for PostgreSQL")


def _ports_of_the_running(instance: Instance, running: Running) -> Iterator[Finding]:
    silent = []
    if not web.health(running.url)["api-server"]:
        silent.append(f"Airflow's api-server does not answer at {running.url}")
    if embedded.running_port(instance.postgres_dir / "pgdata") != running.postgres_port:
        silent.append(f"PostgreSQL does not listen on port {running.postgres_port}")
    for sentence in silent:
        yield wrong("ports", sentence, f"it is started again by itself: see the logs in {instance.log_dir}")
    if not silent:
        yield fine("ports", f"the web UI answers at {running.url}, PostgreSQL on port {running.postgres_port}")


def folders(instance: Instance) -> Iterator[Finding]:
    """Whether this user may use the folders of the pipeline, and nobody else may see them."""
    if not instance.home.exists():
        yield fine("folders", f"{instance.home} is not there yet: the first start makes it")
        return
    problems = [*_unusable(instance), *_open(instance)]
    for says, do in problems:
        yield wrong("folders", says, do)
    if not problems:
        yield fine("folders", f"those in {instance.home} are this user's, and closed to others as SLUICE_UMASK says")


def _unusable(instance: Instance) -> Iterator[tuple[str, str]]:
    for folder in _all_folders(instance):
        if folder.exists() and not folder.is_dir():
            yield f"{folder} is no folder", "move it away: the next start makes the folder"
        elif folder.is_dir() and not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            yield f"{folder} cannot be used by this user", f"give it back: chown, or chmod u+rwx {folder}"


def _open(instance: Instance) -> Iterator[tuple[str, str]]:
    """What others may see although SLUICE_UMASK says that they may not; who lands files has a rule of their own."""
    settings = instance.settings
    through = PASSABLE if os.geteuid() == 0 or settings.incoming_group else 0
    for folder in _all_folders(instance):
        if folder == settings.incoming_dir and settings.incoming_group:
            continue
        may = settings.folder_mode | (through if folder in (instance.home, instance.postgres_dir) else 0)
        yield from _more_than(folder, may)
    for secret in (instance.secrets_path, instance.postgres_dir / "password"):
        yield from _more_than(secret, 0o600)


def _more_than(path: Path, may: int) -> Iterator[tuple[str, str]]:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return
    if mode & 0o777 & ~may:
        yield f"{path} is open to other users ({mode:o}, at most {may:o})", f"chmod {mode & may:o} {path}"


def _all_folders(instance: Instance) -> list[Path]:
    settings = instance.settings
    own = [instance.home, instance.postgres_dir, instance.run_dir, instance.log_dir, instance.airflow_home]
    return [*own, settings.checkpoint_dir, settings.processing_dir, settings.archive_dir, settings.incoming_dir]


def clock(instance: Instance) -> Iterator[Finding]:
    """Whether the clock was set back since something was written last."""
    newest = max((_written_at(path) for path in (instance.home, *_all_folders(instance))), default=0.0)
    ahead = newest - time.time()
    if ahead > _CLOCK_SECONDS:
        do = "set the clock right, best by NTP: leases, ages and the schedule go by it"
        yield wrong("clock", f"the clock was set back: the state folder was written {ahead:,.0f} s from now", do)
    else:
        yield fine("clock", time.strftime("%Y-%m-%d %H:%M:%S %Z, not behind what was written last"))


def _written_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def contracts(settings: Settings) -> Iterator[Finding]:
    """Whether each contract can be used."""
    judge = Judge()
    try:
        known = read_contracts(settings.contracts_dir, problems=judge.problems)
    finally:
        judge.close()
    for why in dict.fromkeys(broken.why for broken in known.broken):
        do = f"correct it in {settings.contracts_dir} (`make contracts` checks it); files that may be its own wait"
        yield wrong("contracts", why, do)
    if not known.broken:
        yield fine("contracts", f"{len(known.usable)} in {settings.contracts_dir}, all of them can be used")


def waiting_on_disk(settings: Settings) -> Finding:
    """What waits, as far as the folders know: for a pipeline whose ledger cannot be asked."""
    landed = incoming.survey(settings)
    moved = 0
    if settings.processing_dir.is_dir():
        moved = sum(not name.startswith(".") for name in os.listdir(settings.processing_dir))
    said = f"{landed.waiting:,} files in incoming, {moved:,} in processing"
    if landed.refused:
        names = ", ".join(list(landed.refused)[:_SHOWN])
        return advice("backlog", f"{said}; {len(landed.refused):,} are not taken: {names}", "`make status` says why")
    return fine("backlog", said)
