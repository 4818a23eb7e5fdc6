"""``make release VERSION=x.y.z``: one commit and one tag, or nothing; nothing is pushed.

The changelog's section Unreleased becomes the version's, ``pyproject.toml`` (the one place of the version) gets it, and
contracts and schema are copied to ``include/released``: what later changes are compared with.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
CHANGELOG = PROJECT / "CHANGELOG.md"
PYPROJECT = PROJECT / "pyproject.toml"
RELEASED = PROJECT / "include" / "released"
UNRELEASED = "## [Unreleased]\n"
_VERSION = re.compile(r'^version = "(\d+\.\d+\.\d+)"$', re.MULTILINE)


class NotReleasedError(Exception):
    """Why there is no release."""


def main(arguments: list[str]) -> int:
    """Release the version that is given; 2 when it cannot be."""
    try:
        version = arguments[0] if len(arguments) == 1 else ""
        changelog, pyproject = _new_changelog(version), _new_pyproject(version)
        _check_repository(version)
    except NotReleasedError as error:
        print(f"not released: {error}", file=sys.stderr)
        return 2
    CHANGELOG.write_text(changelog, encoding="utf-8")
    PYPROJECT.write_text(pyproject, encoding="utf-8")
    _snapshot(version)
    _git("add", "--all")
    _git("commit", "--quiet", "--message", f"Release {version}")
    _git("tag", "--annotate", f"v{version}", "--message", f"Sluice {version}")
    print(f"released {version} here, as tag v{version}: git push --follow-tags makes it everybody's")
    return 0


def _new_pyproject(version: str) -> str:
    text = PYPROJECT.read_text(encoding="utf-8")
    [before] = _VERSION.findall(text)
    if not re.fullmatch(r"(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}", version):
        raise NotReleasedError(f"{version!r} is no version: give VERSION=x.y.z (now it is {before})")
    if _numbers(version) <= _numbers(before):
        raise NotReleasedError(f"{version} does not come after {before}")
    return _VERSION.sub(f'version = "{version}"', text)


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def _new_changelog(version: str) -> str:
    text = CHANGELOG.read_text(encoding="utf-8")
    before, found, after = text.partition(UNRELEASED)
    if not found or not after.split("\n## ", 1)[0].strip():
        raise NotReleasedError(f"nothing stands under {UNRELEASED.strip()} in {CHANGELOG.name}")
    return f"{before}{UNRELEASED}\n## [{version}] - {datetime.now(UTC):%Y-%m-%d}\n{after}"


def _check_repository(version: str) -> None:
    if _git("status", "--porcelain"):
        raise NotReleasedError("there are changes that are not committed")
    if _git("tag", "--list", f"v{version}"):
        raise NotReleasedError(f"there is a tag v{version} already")


def _snapshot(version: str) -> None:
    """Contracts and schema as they are now, under ``include/released``."""
    shutil.rmtree(RELEASED, ignore_errors=True)
    (RELEASED / "contracts").mkdir(parents=True)
    (RELEASED / "version").write_text(f"{version}\n", encoding="utf-8")
    for contract in sorted((PROJECT / "include" / "contracts").glob("*.odcs.yaml")):
        shutil.copy(contract, RELEASED / "contracts")
    if (schema := PROJECT / "include" / "sql" / "schema.sql").exists():
        shutil.copy(schema, RELEASED)


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(PROJECT), *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
