"""What this machine, or the container that we are in, has."""

from __future__ import annotations

from pathlib import Path

import psutil

# The limit of the control group that we are in: of version 2, of version 1.
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def memory() -> int:
    """Bytes of memory: the machine's, or less where a container is limited."""
    limits = [int(text) for path in _LIMITS if path.is_file() and (text := path.read_text().strip()).isdigit()]
    return min([int(psutil.virtual_memory().total), *limits])
