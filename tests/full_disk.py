"""A real disk that can be filled: a small tmpfs, which only root may mount."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


class SmallDisk:
    """``folder`` lies on a disk of its own of ``megabytes``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Leave not one block free."""
        with self._ballast.open("ab", buffering=0) as file:
            for size in (1 << 20, 4096):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(bytes(size))

    def free(self) -> None:
        """Give the space back."""
        self._ballast.unlink()


@contextlib.contextmanager
def small_disk(megabytes: int) -> Iterator[SmallDisk]:
    """A small disk of the test's own; skips the test where the kernel lets nobody mount one."""
    folder = Path(tempfile.mkdtemp(prefix="sluice-small-disk-"))
    try:
        if os.geteuid() != 0:
            pytest.skip("only root may mount a small disk to fill")
        command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=755", "sluice-test", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True)
        if re.search("permission denied|not permitted", done.stderr, re.IGNORECASE):
            pytest.skip("root without CAP_SYS_ADMIN, as in most containers, may not mount a small disk to fill")
        done.check_returncode()
        try:
            yield SmallDisk(folder)
        finally:
            subprocess.run(["umount", "-l", str(folder)], check=True)
    finally:
        folder.rmdir()
