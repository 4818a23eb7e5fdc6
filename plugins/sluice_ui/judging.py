"""Judges and drafts in processes of their own, one at a time: never on Airflow's threads, never in its memory."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
from fastapi import HTTPException

from sluice.base.settings import PROJECT, Settings
from sluice.landing.uploads import Upload, UploadError
from sluice_ui.desk import BusyError

READ_SECONDS = 20
PATIENCE_SECONDS = 60
MOST_WAITING = 3
ANSWER_BYTES_MAX = 4 << 20
# What to type next is for who drafts in a shell, where the file lies.
_FOR_A_SHELL = "next: make "


class Judge:
    """One process at a time; three may wait for it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock: anyio.Lock | None = None
        self._waiting = 0
        self.limiter = anyio.CapacityLimiter(1)

    async def verdict(self, upload: Upload) -> dict[str, Any]:
        """What `make check-file JSON=1` says of it. Raises BusyError; HTTPException when it takes too long."""
        words = ["check-file", "--json", "--gently", f"--seconds={READ_SECONDS}", f"--as={upload.name}"]
        async with self._turn():
            said = await _run(*words, "--", str(upload.path))
        try:
            verdict: dict[str, Any] = json.loads(said.stdout)
        except ValueError:
            why = "it cannot be judged within the memory that a dry run may take: a load has more"
            verdict = {"name": upload.name, "outcome": "not_judged", "why": why}
        return verdict

    async def draft(self, upload: Upload) -> dict[str, Any]:
        """A contract for such files, as `make contract` drafts it, and what it guessed."""
        link = upload.path.with_suffix(".draft") / upload.name
        async with self._turn():
            with _linked(upload.path, link):  # its name tells how it is compressed, and names the feed
                said = await _run("contract", "--gently", "--", str(link))
        told = said.stderr.decode("utf-8", "replace").replace(f"{link.parent}/", "").splitlines()
        lines = [line.removeprefix("sluice: ") for line in told]
        return {
            "text": said.stdout.decode("utf-8", "replace"),
            "told": [line for line in lines if not line.startswith(_FOR_A_SHELL)],
        }

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        if self._lock is None:
            self._lock = anyio.Lock()
        if self._waiting > MOST_WAITING:
            raise BusyError("many files are judged just now")
        self._waiting += 1
        try:
            async with self._lock:
                yield
        finally:
            self._waiting -= 1


@contextmanager
def _linked(path: Path, link: Path) -> Iterator[None]:
    """``link`` names the same file meanwhile; what a killed process left of an earlier one goes first."""
    link.parent.mkdir(mode=0o700, exist_ok=True)
    try:
        link.unlink(missing_ok=True)
        os.link(path, link)
        yield
    except FileNotFoundError as error:
        raise UploadError("the file is not here any more: choose the file again") from error
    finally:
        link.unlink(missing_ok=True)
        link.parent.rmdir()


async def _run(*words: str) -> subprocess.CompletedProcess[bytes]:
    """A command to its end; it and all that it started end when it takes too long, or nobody waits any more."""
    command = [sys.executable, "-m", "sluice", *words]
    with anyio.move_on_after(PATIENCE_SECONDS):
        async with await anyio.open_process(
            command, stdin=subprocess.DEVNULL, cwd=PROJECT, start_new_session=True
        ) as process:
            try:
                return await _output(process)
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise
    raise HTTPException(503, "it takes longer than a minute to judge this file: land it, or use `make check-file`")


async def _output(process: Any) -> subprocess.CompletedProcess[bytes]:
    parts: dict[str, bytes] = {}

    async def read(name: str, stream: Any) -> None:
        found = b""
        async for chunk in stream:
            found += chunk if len(found) < ANSWER_BYTES_MAX else b""
        parts[name] = found

    async with anyio.create_task_group() as group:
        group.start_soon(read, "stdout", process.stdout)
        group.start_soon(read, "stderr", process.stderr)
    code = await process.wait()
    return subprocess.CompletedProcess(process.args if hasattr(process, "args") else [], code, **parts)
