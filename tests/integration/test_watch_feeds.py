"""DAG watch_feeds as Airflow runs it, with a database of its own, and the commands of whoever is on duty."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dags import watch_feeds
from sluice.base.settings import PROJECT, Settings
from sluice.cli.main import main
from sluice.duty import changes
from sluice.duty.conditions import Condition
from sluice.running.instance import Instance
from tests.loading import Connection
from tests.receivers import PASSWORD, Posts, http


@pytest.fixture
def posts() -> Iterator[Posts]:
    with http() as found:
        yield found


def refuse(settings: Settings, writer: Connection) -> None:
    """A file that is never taken, which was noted an hour ago."""
    (settings.incoming_dir / "sheet {{ 7 * 7 }}.xlsx").write_text("no")
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
    changes.note(writer, [Condition("refused", "refused", "refused", None, {"first": "{{ 7 * 7 }}"})], an_hour_ago)


def test_runs_do_not_overlap_or_catch_up_and_it_is_not_paused() -> None:
    dag = watch_feeds.watch_feeds()
    assert (dag.dag_id, dag.max_active_runs, dag.catchup) == ("watch_feeds", 1, False)
    assert (dag.is_paused_upon_creation, dag.schedule) == (False, timedelta(seconds=60))


def airflow(settings: Settings, folder: Path, *arguments: str, url: str) -> subprocess.CompletedProcess[str]:
    """An airflow command over a database in ``folder``, which logs all that it can."""
    environment = os.environ | {
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{folder}/airflow.db",
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__API__BASE_URL": "http://127.0.0.1:8099",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG",
        "SLUICE_ALERT_URL": url,
        "SLUICE_DISK_LOW_BYTES": "1",
    }
    command = [sys.executable, "-m", "airflow", *arguments]
    return subprocess.run(command, env=environment, cwd=PROJECT, capture_output=True, text=True)


def test_a_run_looks_notes_and_tells_and_the_url_is_nowhere(
    settings: Settings, connection: Connection, writer: Connection, posts: Posts, tmp_path: Path
) -> None:
    folder = tmp_path / "airflow"
    assert airflow(settings, folder, "db", "migrate", url="").returncode == 0
    refuse(settings, writer)
    ran = airflow(settings, folder, "dags", "test", "watch_feeds", url=posts.url)
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
    (body,) = posts.bodies
    assert "The page: http://127.0.0.1:8099/plugin/sluice" in body
    assert "{{ 7 * 7 }}" in body, "nothing of it is a template"
    posts.status = 500
    changes.note(writer, [Condition("refused", "x", "refused")], datetime.now(UTC) - timedelta(hours=1))
    connection.execute("UPDATE ledger.duty_told SET at = at - interval '1 hour'")
    failed = airflow(settings, folder, "dags", "test", "watch_feeds", url=posts.url)
    assert "not confirmed by receiver 1 of SLUICE_ALERT_URL (json)" in failed.stdout + failed.stderr
    said = ran.stdout + ran.stderr + failed.stdout + failed.stderr
    assert "has confirmed a message of 1 changes" in said
    assert PASSWORD not in said
    kept = [path for path in folder.rglob("*") if path.is_file()]
    assert folder / "airflow.db" in kept
    assert [path for path in kept if PASSWORD.encode() in path.read_bytes()] == []


def test_duty_tells_what_is_wrong_now_and_what_nobody_was_told(
    running: Instance,
    settings: Settings,
    writer: Connection,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SLUICE_DISK_LOW_BYTES", "1")
    assert main(["duty", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["conditions"], report["watched"], report["looked_at"]) == ([], False, None)
    changes.note(writer, [Condition("proof", "proof", "fine")], datetime.now(UTC))
    assert main(["duty"]) == 0
    assert capsys.readouterr().out == "all is fine\n"
    refuse(settings, writer)
    assert main(["duty", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    (found,) = report["conditions"]
    assert (found["kind"], found["state"], found["level"]) == ("refused", "refused", "warning")
    assert [one["kind"] for one in report["untold"]] == ["refused"]
    assert main(["duty"]) == 1
    said = capsys.readouterr().out
    assert "warning  Files lie in incoming that are never taken. Since " in said
    assert "untold   1 changes: SLUICE_ALERT_URL is empty, so nobody is told" in said
    assert writer.execute("SELECT count(*) AS n FROM ledger.duty_changes").fetchone() == {"n": 1}, "it notes nothing"


def test_alert_test_sends_a_message_to_each_receiver_and_fails_when_one_does_not_confirm(
    settings: Settings, posts: Posts, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["alert-test"]) == 1
    assert "SLUICE_ALERT_URL is empty" in capsys.readouterr().err
    monkeypatch.setenv("SLUICE_ALERT_URL", posts.url)
    assert main(["alert-test"]) == 0
    assert [message["title"] for message in posts.messages] == ["Sluice: a test"]
    monkeypatch.setenv("SLUICE_ALERT_URL", f"{posts.url} json://127.0.0.1:1/{PASSWORD}")
    assert main(["alert-test"]) == 1
    told = capsys.readouterr()
    assert "receiver 2 of SLUICE_ALERT_URL (json): NOT confirmed" in told.out
    assert PASSWORD not in told.out + told.err
    assert len(posts.messages) == 2


def test_env_does_not_print_the_url(
    running: Instance, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLUICE_ALERT_URL", f"json://u:{PASSWORD}@127.0.0.1/")
    assert main(["env"]) == 0
    assert PASSWORD not in capsys.readouterr().out
    said = running.running()
    assert said is not None
    assert PASSWORD in running.environment(said)["SLUICE_ALERT_URL"], "the processes of the pipeline have it"
