"""A release is one commit and one tag: changelog, version, snapshots; or it is refused, and nothing has changed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sluice.base.settings import PROJECT

NEXT = "99.0.0"


class Copy:
    """A repository with what a release touches."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        listed = ["CHANGELOG.md", "pyproject.toml", ".ci/release.py", "include/contracts/events.odcs.yaml"]
        for name in listed:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((PROJECT / name).read_bytes())
        (folder / "include/sql").mkdir()
        (folder / "include/sql/schema.sql").write_text("CREATE TABLE events ();\n")
        self.append("CHANGELOG.md", "\n")
        self.replace("CHANGELOG.md", "## [Unreleased]\n", "## [Unreleased]\n\n### Added\n- A thing.\n")
        self.git("init", "--quiet")
        self.git("config", "user.name", "somebody")
        self.git("config", "user.email", "somebody@example.org")
        self.commit()

    def git(self, *arguments: str) -> str:
        command = ["git", "-C", str(self.folder), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "a change")

    def text(self, name: str) -> str:
        return (self.folder / name).read_text()

    def append(self, name: str, text: str) -> None:
        (self.folder / name).write_text(self.text(name) + text)

    def replace(self, name: str, old: str, new: str) -> None:
        assert old in self.text(name)
        (self.folder / name).write_text(self.text(name).replace(old, new, 1))

    def release(self, version: str = NEXT) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(self.folder / ".ci" / "release.py"), version]
        return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path)


def test_a_release_moves_the_section_sets_the_version_and_tags(copy: Copy) -> None:
    done = copy.release()
    assert done.returncode == 0, done.stderr
    changelog = copy.text("CHANGELOG.md")
    unreleased, released = changelog.split(f"## [{NEXT}] - ")
    assert unreleased.endswith("## [Unreleased]\n\n")
    assert "- A thing." in released
    assert f'\nversion = "{NEXT}"\n' in copy.text("pyproject.toml")
    assert copy.git("describe") == f"v{NEXT}"
    assert copy.git("status", "--porcelain") == ""


def test_a_release_keeps_contracts_and_schema_for_comparison(copy: Copy) -> None:
    copy.release()
    assert copy.text("include/released/version") == f"{NEXT}\n"
    assert copy.text("include/released/schema.sql") == copy.text("include/sql/schema.sql")
    contract = "contracts/events.odcs.yaml"
    assert copy.text(f"include/released/{contract}") == copy.text(f"include/{contract}")


def test_a_contract_that_is_gone_is_gone_from_the_next_snapshot(copy: Copy) -> None:
    copy.release()
    copy.git("mv", "include/contracts/events.odcs.yaml", "include/contracts/other.odcs.yaml")
    copy.replace("CHANGELOG.md", "## [Unreleased]\n", "## [Unreleased]\n- Another thing.\n")
    copy.commit()
    assert copy.release("99.0.1").returncode == 0
    listed = [path.name for path in (copy.folder / "include/released/contracts").iterdir()]
    assert listed == ["other.odcs.yaml"]


@pytest.mark.parametrize(
    ("version", "why"),
    [("", "is no version"), ("1.2", "is no version"), ("v1.2.3", "is no version"), ("0.0.1", "does not come after")],
)
def test_a_version_that_cannot_follow_is_refused(copy: Copy, version: str, why: str) -> None:
    assert_refused(copy, version, why)


def test_nothing_is_released_with_an_empty_section(copy: Copy) -> None:
    assert copy.release().returncode == 0
    assert_refused(copy, "99.0.1", "nothing stands under")


def test_nothing_is_released_with_changes_that_are_not_committed(copy: Copy) -> None:
    copy.append("pyproject.toml", "# a change\n")
    assert_refused(copy, NEXT, "not committed")


def test_a_tag_is_not_given_twice(copy: Copy) -> None:
    copy.git("tag", f"v{NEXT}")
    assert_refused(copy, NEXT, "already")


def assert_refused(copy: Copy, version: str, why: str) -> None:
    """The release fails and says why; nothing has changed."""
    before = copy.git("rev-parse", "HEAD"), copy.git("status", "--porcelain")
    done = copy.release(version)
    assert (done.returncode, why in done.stderr) == (2, True), done.stderr
    assert (copy.git("rev-parse", "HEAD"), copy.git("status", "--porcelain")) == before
