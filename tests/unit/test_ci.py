"""`.ci/run` says what it did not try, stops at what fails, and the checks are able to refuse what they check."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sluice.base.settings import PROJECT

_MAKE = """#!/bin/sh
echo "make $1"
[ "$1" = test ] && echo "SKIPPED [2] tests/integration/test_poolers.py:47: there is no pooler here"
[ "$1" != "$FAILING" ]
"""


class Machine:
    """A machine whose programs are scripts: make tells its target, Java is there, docker and apt-get do as told."""

    def __init__(self, folder: Path) -> None:
        self._bin = folder / "bin"
        self._bin.mkdir()
        (folder / ".ci").mkdir()
        self._run = shutil.copy(PROJECT / ".ci" / "run", folder / ".ci" / "run")
        self.has("make", _MAKE)
        self.has("java", "#!/bin/sh\necho 'openjdk version \"17.0.1\"' >&2\n")
        self.has("apt-get", "#!/bin/sh\n")
        self.has("docker", "#!/bin/sh\nexit 1\n")
        self.has("python3.11", f'#!/bin/sh\nexec {sys.executable} "$@"\n')

    def has(self, name: str, script: str) -> None:
        """A program of this machine."""
        (self._bin / name).write_text(script)
        (self._bin / name).chmod(0o755)

    def ci(self, failing: str = "") -> subprocess.CompletedProcess[str]:
        """Run .ci/run to its end; ``failing`` is the make target that fails."""
        kept = {name: value for name, value in os.environ.items() if name not in ("JAVA_HOME", "BASE_PYTHON")}
        environment = kept | {"PATH": f"{self._bin}:/usr/bin:/bin", "FAILING": failing}
        return subprocess.run([self._run], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_what_was_not_tried_is_named_at_the_end(machine: Machine) -> None:
    done = machine.ci()
    assert done.returncode == 0, done.stdout
    end = done.stdout[done.stdout.index("ci: passed") :]
    assert "ci: not tried: containers (no Docker engine answers)" in end
    assert "ci: not tried: there is no pooler here" in end


def test_containers_are_tried_where_an_engine_answers(machine: Machine) -> None:
    machine.has("docker", "#!/bin/sh\n")
    done = machine.ci()
    assert "make test-compose" in done.stdout
    assert "not tried: containers" not in done.stdout


@pytest.mark.parametrize("target", ["check", "test", "chaos"])
def test_it_ends_at_the_first_thing_that_fails(machine: Machine, target: str) -> None:
    done = machine.ci(failing=target)
    assert done.returncode != 0
    tried = [line.split()[2] for line in done.stdout.splitlines() if line.startswith("ci: make ")]
    assert tried[-1] == target
    assert "passed" not in done.stdout


def test_it_names_nothing_outside_of_the_checkout() -> None:
    assert "../" not in (PROJECT / ".ci" / "run").read_text().replace('")/.."', "")


def test_a_workflow_that_is_no_workflow_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "ci.yml"
    broken.write_text((PROJECT / ".github" / "workflows" / "ci.yml").read_text().replace("runs-on:", "runs_on:"))
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(broken)]
    assert subprocess.run(check, capture_output=True).returncode == 1
