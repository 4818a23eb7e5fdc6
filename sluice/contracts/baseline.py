"""What today's contracts are compared with: those of the last release, or of the last commit before there is one.

``make release`` copies the contracts to ``released/contracts`` beside their folder, which every clone has. A folder of
contracts without such a copy is compared with the newest tag ``v*`` of the git repository that it is in. Without
either, nothing is promised yet: then changes since the last commit are shown, and none of them is an error.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from sluice.ledger.contract_waits import PATTERN


@dataclass(frozen=True)
class Baseline:
    """What contracts are compared with: file texts by name. ``is_released`` says whether anybody relies on them."""

    name: str
    texts: dict[str, str]
    is_released: bool

    def title(self) -> str:
        """For people: what is compared with."""
        if self.is_released:
            return f"compared with release {self.name}:"
        return "no release yet (none in released, no tag v*): nothing is promised; changes since the last commit:"


def baseline(folder: Path) -> Baseline | None:
    """What the contracts in ``folder`` are compared with; None where there is neither a release nor a commit."""
    return _released(folder) or _committed(folder)


def _released(folder: Path) -> Baseline | None:
    released = folder.resolve().parent / "released"
    try:
        version = (released / "version").read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
    texts = {path.name: path.read_text(encoding="utf-8") for path in sorted((released / "contracts").glob(PATTERN))}
    return Baseline(f"v{version}", texts, is_released=True)


def _committed(folder: Path) -> Baseline | None:
    top = _git(folder, "rev-parse", "--show-toplevel")
    if top is None or _git(folder, "rev-parse", "--verify", "--quiet", "HEAD") is None:
        return None
    tags = (_git(folder, "tag", "--list", "v*", "--sort=-version:refname") or "").split()
    commit = tags[0] if tags else "HEAD"
    inside = folder.resolve().relative_to(Path(top.strip()).resolve()).as_posix()
    listed = _git(folder, "ls-tree", "--name-only", "--full-tree", commit, f"{inside}/") or ""
    paths = [path for path in listed.splitlines() if Path(path).match(PATTERN)]
    texts = {Path(path).name: _git(folder, "show", f"{commit}:{path}") or "" for path in paths}
    return Baseline(commit, texts, is_released=bool(tags))


def _git(folder: Path, *arguments: str) -> str | None:
    """What git says; None when it is missing, refuses, or knows no such thing."""
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout
