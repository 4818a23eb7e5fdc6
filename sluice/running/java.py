"""Spark needs Java 17 or later: where it is, and how to get it."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

OLDEST = 17
_INSTALL = ["apt-get", "install", "-y", "--no-install-recommends", "openjdk-17-jre-headless"]


class JavaError(RuntimeError):
    """There is no Java that Spark can use; the message names the command that installs it."""


@functools.cache
def home() -> Path | None:
    """JAVA_HOME of the first Java 17 or later of JAVA_HOME and PATH; None when there is none."""
    named = os.environ.get("JAVA_HOME")
    candidates = [Path(named) / "bin" / "java"] if named else []
    if program := shutil.which("java"):
        candidates.append(Path(program))
    for candidate in candidates:
        if (version_of(candidate) or 0) >= OLDEST:
            return candidate.resolve().parent.parent
    return None


def version_of(program: Path) -> int | None:
    """The major version that ``program -version`` prints (8 for 1.8); None when it does not run."""
    try:
        done = subprocess.run([program, "-version"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = re.search(r'version "(\d+)(?:\.(\d+))?', done.stderr + done.stdout)
    if version is None:
        return None
    return int(version[2]) if version[1] == "1" and version[2] else int(version[1])


def ensure(say: Callable[[str], None]) -> Path:
    """JAVA_HOME, after installing Java when it is missing and we may; otherwise raises JavaError."""
    if (known := home()) is not None:
        return known
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        remedy = f"sudo {' '.join(_INSTALL)}" if shutil.which("apt-get") else "your system's package manager"
        raise JavaError(
            f"Spark needs Java {OLDEST} or later and found none in JAVA_HOME or PATH: install it with `{remedy}`, "
            "or set JAVA_HOME to one"
        )
    say("installing Java 17 with apt-get (about a minute) …")
    for command in (["apt-get", "update", "-qq"], [*_INSTALL, "-qq"]):
        done = subprocess.run(
            command, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"}, capture_output=True, text=True
        )
    home.cache_clear()
    if (known := home()) is None:
        raise JavaError(f"`{' '.join(_INSTALL)}` did not give a Java: {(done.stderr or done.stdout).strip()[-800:]}")
    return known
