"""Landing a file: whole or not at all, nothing overwritten, and an error that says why."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sluice.base.settings import PROJECT, Settings
from sluice.landing import predicate
from sluice.landing.land import NotLandedError, land


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    return Settings(home=str(tmp_path / "home"))


def there(settings: Settings) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in settings.incoming_dir.iterdir()}


def test_a_file_appears_when_it_is_whole_and_was_hidden_before(home: Settings) -> None:
    seen = []

    def blocks() -> Iterator[bytes]:
        yield b"a,b\n"
        seen.append(there(home))
        yield b"1,2\n"

    landed = land(home, "x.csv", blocks())
    [(hidden, content)] = seen[0].items()
    assert predicate.look_at_name(hidden) == (
        predicate.Verdict.IGNORE,
        "its name says that it is not finished: rename it when it is",
    )
    assert content == b"a,b\n"
    assert there(home) == {"x.csv": b"a,b\n1,2\n"}
    assert landed == (home.incoming_dir / "x.csv", hashlib.sha256(b"a,b\n1,2\n").hexdigest(), 8)


def test_its_bytes_are_on_disk_before_it_has_its_name(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append((handle, sorted(there(home)))))
    land(home, "x.csv", [b"1"])
    (_, at_first), (_, at_last) = synced
    assert "x.csv" not in at_first
    assert at_last == ["x.csv"]


@pytest.mark.parametrize("ending", predicate.ENDINGS)
def test_a_file_of_that_name_which_waits_is_not_overwritten(home: Settings, ending: str) -> None:
    names = [land(home, f"a.b{ending}", [content]).path.name for content in (b"0", b"1", b"2")]
    assert names == [f"a.b{ending}", f"a.b-2{ending}", f"a.b-3{ending}"]
    assert list(dict(sorted(there(home).items())).values()) == [b"1", b"2", b"0"]


def test_one_that_appears_at_the_last_moment_is_not_overwritten(home: Settings) -> None:
    told = []

    def before(name: str, sha256: str) -> None:
        told.append((name, sha256))
        if len(told) == 1:
            (home.incoming_dir / name).write_text("theirs")

    assert land(home, "x.csv", [b"ours"], before=before).path.name == "x-2.csv"
    assert there(home) == {"x.csv": b"theirs", "x-2.csv": b"ours"}
    assert told == [(name, hashlib.sha256(b"ours").hexdigest()) for name in ("x.csv", "x-2.csv")]


@pytest.mark.parametrize("error", [RuntimeError("the server went away"), ConnectionResetError(104, "reset")])
def test_a_source_that_breaks_off_lands_nothing_and_says_so_itself(home: Settings, error: Exception) -> None:
    def blocks() -> Iterator[bytes]:
        yield b"half a fi"
        raise error

    with pytest.raises(type(error)) as raised:
        land(home, "x.csv", blocks())
    assert raised.value is error
    assert there(home) == {}


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (".x.csv", "not finished"),
        ("_x.csv", "not finished"),
        ("x.csv.part", "not finished"),
        ("x.xlsx", "save each sheet as CSV"),
        ("x", "ends in none of"),
        ("sub/x.csv", "without folders"),
        ("../x.csv", "without folders"),
        ("x\0.csv", "no name of a file"),
        ("", "ends in none of"),
        ("x" * 300 + ".csv", "File name too long"),
    ],
)
def test_a_name_that_would_never_be_taken_is_refused_with_the_reason(home: Settings, name: str, says: str) -> None:
    with pytest.raises(NotLandedError, match=says):
        land(home, name, [b"1"])
    assert not home.incoming_dir.exists() or there(home) == {}


def test_a_full_disk_is_explained_and_nothing_stays(home: Settings) -> None:
    code = f"""if True:
        import resource, sys
        from sluice.base.settings import Settings
        from sluice.landing.land import NotLandedError, land
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            land(Settings(home={home.home!r}), "x.csv", [b"1" * 600] * 2)
        except NotLandedError as error:
            sys.exit(str(error))
    """
    limited = subprocess.run(
        [sys.executable, "-c", code],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGXFSZ, signal.SIG_IGN),
    )
    assert limited.stderr.strip() == f"'x.csv' is not landed: {home.incoming_dir} cannot be written (File too large)"
    assert there(home) == {}


def test_a_folder_that_cannot_be_made_is_explained(home: Settings) -> None:
    home.home_dir.write_text("a file in the way")
    with pytest.raises(NotLandedError, match="cannot be written"):
        land(home, "x.csv", [b"1"])


def test_what_a_killed_process_left_is_removed_after_a_day(home: Settings) -> None:
    home.incoming_dir.mkdir(parents=True)
    old, young = (home.incoming_dir / f".landing-{age}.part" for age in ("old", "young"))
    foreign = home.incoming_dir / ".upload.csv.part"
    for path in (old, young, foreign):
        path.write_text("half")
    for path in (old, foreign):
        os.utime(path, (0, 0))
    land(home, "x.csv", [b"1"])
    assert (old.exists(), young.exists(), foreign.exists()) == (False, True, True)


def test_a_process_that_is_killed_while_it_lands_leaves_only_a_hidden_file(home: Settings) -> None:
    code = f"""if True:
        import os, signal
        from sluice.base.settings import Settings
        from sluice.landing.land import land
        def blocks():
            yield b"half"
            os.kill(os.getpid(), signal.SIGKILL)
        land(Settings(home={home.home!r}), "x.csv", blocks())
    """
    killed = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert [name.startswith(".landing-") and name.endswith(".part") for name in there(home)] == [True]
