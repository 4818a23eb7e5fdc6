"""CPU time and memory of a process and all that it started, from /proc."""

from __future__ import annotations

import os
from pathlib import Path

TICK = 1 / os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


def seconds(root: int) -> float:
    """CPU seconds, of user and kernel, of ``root`` and its descendants; of those that have ended, too.

    Two looks at a tree subtract well: what has ended in between is in the time of the parent that waited for it.
    """
    stats = _stats()
    return sum(sum(map(int, stats[pid][11:15])) for pid in _tree(root, stats)) * TICK


def descendants(root: int) -> list[int]:
    """``root`` and what it started, that lives."""
    return _tree(root, _stats())


def most_memory(pid: int) -> int:
    """The most memory, in bytes, that the process has held so far (VmHWM); 0 when it has ended."""
    try:
        lines = (_PROC / str(pid) / "status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


def name(pid: int) -> str:
    """The process's short name; empty when it has ended."""
    try:
        return (_PROC / str(pid) / "comm").read_text().strip()
    except OSError:
        return ""


def _stats() -> dict[int, list[str]]:
    """The fields of each process's stat that stand behind its name."""
    found = {}
    for entry in os.scandir(_PROC):
        if entry.name.isdigit():
            try:
                found[int(entry.name)] = (_PROC / entry.name / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
    return found


def _tree(root: int, stats: dict[int, list[str]]) -> list[int]:
    children: dict[int, list[int]] = {}
    for pid, fields in stats.items():
        children.setdefault(int(fields[1]), []).append(pid)
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        if pid in stats:
            found.append(pid)
        waiting += children.get(pid, [])
    return found
