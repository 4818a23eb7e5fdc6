"""`make doctor` finds each thing that is broken here for real, in a running pipeline or a stopped one."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from sluice.base import database
from sluice.base.settings import Settings
from sluice.cli import main as cli
from sluice.duty import database_look, doctor, drill, machine_look
from sluice.duty.finding import Finding, State
from sluice.proof import reconcile
from sluice.running import disk_use, embedded, java, status
from sluice.running.instance import Instance
from tests.integration.conftest import Land
from tests.loading import Connection, event, table


@pytest.fixture
def stopped(tmp_path: Path) -> Instance:
    """A pipeline that has its folders and does not run."""
    instance = Instance(Settings(home=str(tmp_path / "stopped"), web_port=0, backup_folder=str(tmp_path / "backups")))
    instance.make_folders()
    instance.secrets()
    return instance


def told(found: Iterator[Finding] | list[Finding], what: str) -> list[tuple[State, str]]:
    return [(one.state, one.says) for one in found if one.what == what]


def the(found: Iterator[Finding] | list[Finding], what: str, state: State) -> str:
    """The one sentence in that state about ``what``; whatever is not fine says what to do."""
    one = [one for one in found if one.what == what and one.state is state]
    assert len(one) == 1, found
    assert one[0].do or state in (State.FINE, State.UNKNOWN)
    return one[0].says


def test_a_stopped_pipeline_is_looked_at_as_far_as_it_can_be(stopped: Instance) -> None:
    found = doctor.examine(stopped)
    assert [one for one in found if one.state is State.WRONG] == []
    assert {one.what for one in found} == {
        *("java", "versions", "folders", "ports", "clock", "contracts", "disk", "backlog", "pipeline", "backup")
    }
    assert "the last recount were not looked at" in the(found, "pipeline", State.UNKNOWN)
    assert doctor.exit_code(found) == 0


def test_what_was_never_started_is_made_by_nobody(tmp_path: Path) -> None:
    instance = Instance(Settings(home=str(tmp_path / "never"), web_port=0))
    doctor.examine(instance)
    assert not instance.home.exists()


# --- the machine


def test_a_machine_without_java_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    java.home.cache_clear()
    try:
        assert "Spark cannot start" in the(machine_look.java_and_versions(), "java", State.WRONG)
    finally:
        java.home.cache_clear()


def test_packages_of_other_versions_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lines = [
        "psycopg==1.0 \\",
        "    --hash=sha256:00",
        "nobody-has-this==1.0",
        "psutil==0.1 ; sys_platform == 'win32' \\",
    ]
    lock.write_text("\n".join(lines))
    monkeypatch.setattr(machine_look, "LOCK", lock)
    said = the(machine_look.java_and_versions(), "versions", State.WRONG)
    assert "psycopg" in said
    assert "nobody-has-this is missing" in said
    assert "psutil" not in said


def test_a_folder_that_is_open_to_others_is_named_with_the_command_that_closes_it(stopped: Instance) -> None:
    stopped.settings.archive_dir.chmod(0o755)
    [one] = list(machine_look.folders(stopped))
    assert (one.state, one.do) == (State.WRONG, f"chmod 700 {stopped.settings.archive_dir}")
    assert f"{stopped.settings.archive_dir} is open to other users" in one.says


def test_secrets_that_others_may_read_are_named(stopped: Instance) -> None:
    stopped.secrets_path.chmod(0o644)
    assert "secrets.json is open" in the(machine_look.folders(stopped), "folders", State.WRONG)


def test_a_file_in_the_place_of_a_folder_is_named(stopped: Instance) -> None:
    stopped.settings.checkpoint_dir.rmdir()
    stopped.settings.checkpoint_dir.touch(mode=0o600)
    assert "checkpoint is no folder" in the(machine_look.folders(stopped), "folders", State.WRONG)


def test_a_port_that_somebody_has_is_named_with_its_setting(stopped: Instance) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        web = Instance(replace(stopped.settings, web_port=port))
        assert "(SLUICE_WEB_PORT) belongs to another" in the(machine_look.ports(web, None), "ports", State.WRONG)
        given = Instance(replace(stopped.settings, postgres_port=port))
        assert "(SLUICE_POSTGRES_PORT) belongs" in the(machine_look.ports(given, None), "ports", State.WRONG)
        (stopped.postgres_dir / "port").write_text(f"{port}\n")
        assert f"port {port}, PostgreSQL's until now" in the(machine_look.ports(stopped, None), "ports", State.ADVICE)


def test_a_clock_that_was_set_back_is_noticed(stopped: Instance) -> None:
    tomorrow = time.time() + 86_400
    os.utime(stopped.log_dir, (tomorrow, tomorrow))
    assert "the clock was set back" in the(machine_look.clock(stopped), "clock", State.WRONG)


def test_a_disk_that_is_nearly_full_is_named_with_what_uses_it(
    stopped: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    (stopped.settings.archive_dir / "large.csv").write_bytes(os.urandom(6_000_000))
    used = disk_use.words(disk_use.parts(stopped.settings, None))
    assert "0.01 GB archive" in used
    monkeypatch.setattr("sluice.duty.machine_look._FREE_BYTES", float("inf"))
    monkeypatch.setattr("sluice.duty.machine_look._FREE_SHARE", 1.0)
    [one] = list(machine_look.disk(stopped.settings, used))
    assert (one.state, "nearly full" in one.says, used in one.do) == (State.ADVICE, True, True)


def test_a_broken_contract_is_named(own_contracts: Settings) -> None:
    (own_contracts.contracts_dir / "broken.odcs.yaml").write_text("kind: [")
    assert "broken.odcs.yaml" in the(machine_look.contracts(own_contracts), "contracts", State.WRONG)


def test_what_waits_in_a_stopped_pipeline_is_counted_from_its_folders(stopped: Instance) -> None:
    (stopped.settings.incoming_dir / "a.csv").touch()
    (stopped.settings.incoming_dir / "folder").mkdir()
    (stopped.settings.processing_dir / "b.csv").touch()
    one = machine_look.waiting_on_disk(stopped.settings)
    assert one.says == "1 files in incoming, 1 in processing; 1 are not taken: folder"
    assert one.state is State.ADVICE


def test_no_backup_an_old_one_and_one_that_failed_its_drill_are_told_apart(stopped: Instance) -> None:
    settings = stopped.settings
    assert "there is none" in the(database_look.backups(settings), "backup", State.ADVICE)
    settings.backup_dir.mkdir()
    made = settings.backup_dir / "one.dump"
    made.touch()
    assert "none was ever tried" in the(database_look.backups(settings), "backup", State.ADVICE)
    note = {"holds": True, "at": "2026-11-30T03:00:00+00:00"}
    drill.note_of(settings).write_text(json.dumps(note))
    assert "drill (2026-11-30T03:00:00+00:00) held" in the(database_look.backups(settings), "backup", State.FINE)
    os.utime(made, (1e9, 1e9))
    assert "2001-09-09" in the(database_look.backups(settings), "backup", State.ADVICE)
    drill.note_of(settings).write_text(json.dumps(note | {"holds": False}))
    assert "found differences" in the(database_look.backups(settings), "backup", State.WRONG)


# --- the database


def test_a_schema_of_another_release_is_named(settings: Settings, connection: Connection) -> None:
    assert told(database_look.look(settings, connection), "database")[0][0] is State.FINE
    connection.execute("INSERT INTO public.sluice_migrations (name) VALUES ('9999_of_tomorrow')")
    assert "9999_of_tomorrow" in the(database_look.look(settings, connection), "database", State.WRONG)
    connection.execute("DELETE FROM public.sluice_migrations WHERE name LIKE '9999%' OR name LIKE '0030%'")
    said = the(database_look.look(settings, connection), "database", State.WRONG)
    assert "lacks 0030_edits_of_rejects" in said


def test_a_setting_that_risks_rows_is_named(settings: Settings, postgres_server: embedded.Server) -> None:
    with database.connect(settings.owner_dsn) as connection:  # the tests' server saves itself fsync
        found = told(database_look.look(settings, connection), "settings")
    assert [(state, says.partition(":")[0]) for state, says in found] == [(State.WRONG, "fsync = off")]


def test_entries_from_tomorrow_are_a_clock_that_was_set_back(
    settings: Settings, connection: Connection, land: Land
) -> None:
    assert told(database_look.look(settings, connection), "clock") == []
    land(table(event(1)))
    connection.execute("UPDATE ledger.files SET moved_at = now() + interval '1 day'")
    assert "a clock was set back" in the(database_look.look(settings, connection), "clock", State.WRONG)


def test_clocks_that_differ_are_named(
    settings: Settings, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = database_look.datetime

    class Ahead(real):  # type: ignore[valid-type, misc]
        @classmethod
        def now(cls, tz: object = None) -> object:
            return real.now(tz) + timedelta(seconds=100)  # type: ignore[arg-type]

    monkeypatch.setattr(database_look, "datetime", Ahead)
    assert "are 100 s apart" in the(database_look.look(settings, connection), "clock", State.WRONG)


def test_the_last_recount_is_read_and_nothing_is_recounted(
    own_contracts: Settings, connection: Connection, load: Land
) -> None:
    def said(state: State) -> str:
        return the(database_look.look(own_contracts, connection), "proof", state)

    assert said(State.ADVICE) == "nobody has recounted yet"
    load(table(event(1), event(2)))
    reconcile.reconcile(own_contracts, own_contracts.reader_dsn)
    assert "held, of 2 rows" in said(State.FINE)
    connection.execute("DELETE FROM public.events")
    assert "held, of 2 rows" in said(State.FINE), "it was recounted"
    connection.execute("UPDATE ledger.recounts SET ended_at = now() - interval '8 days'")
    assert "held, but it is of" in said(State.ADVICE)
    reconcile.reconcile(own_contracts, own_contracts.reader_dsn)
    assert "unaccounted for in 1 places" in said(State.WRONG)


def test_folders_that_are_another_ledger_s_are_named(settings: Settings, connection: Connection) -> None:
    (settings.archive_dir / ".sluice-ledger").write_text("somebody else's")
    assert "another ledger" in the(database_look.look(settings, connection), "folders", State.WRONG)


# --- a running pipeline, as the command


class Healthy(BaseHTTPRequestHandler):
    """An api-server that says that all is well."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def api() -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), Healthy)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_running_pipeline_whose_parts_are_silent_is_told_so(running: Instance, api: int) -> None:
    said = running.running()
    assert said is not None
    wrong = [one.says for one in machine_look.ports(running, replace(said, web_port=api, postgres_port=5))]
    assert wrong == ["PostgreSQL does not listen on port 5"]
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        silent = replace(said, web_port=nobody.getsockname()[1])
        assert "api-server does not answer" in the(machine_look.ports(running, silent), "ports", State.WRONG)


def test_the_command_says_all_of_it_and_ends_with_its_code(
    running: Instance, capsys: pytest.CaptureFixture[str]
) -> None:
    running.settings.archive_dir.chmod(0o755)
    assert cli.main(["doctor", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert not found["healthy"]
    by_what = {one["what"] for one in found["findings"]}
    assert {"java", "versions", "folders", "ports", "clock", "contracts", "disk", "database", "settings"} <= by_what
    assert {"pipeline", "backlog", "proof"} <= by_what
    assert cli.main(["doctor"]) == 1
    lines = capsys.readouterr().out
    assert f"do: chmod 700 {running.settings.archive_dir}" in lines
    assert "things are wrong" in lines.splitlines()[-1]


# --- what the status tells beside it


def test_the_status_says_what_uses_the_disk(running: Instance) -> None:
    report = status.report(running)
    [database_part] = [part for part in report["disk"] if part.startswith("database ")]
    assert report["disk"][database_part] > 1_000_000
    assert "\ndisk         0.0" in status.text(report)


def test_the_status_names_archives_that_nobody_seals(running: Instance, connection: Connection, load: Land) -> None:
    load(table(event(1)))
    assert "not sealed" not in str(status.report(running)["problems"])
    connection.execute("UPDATE ledger.files SET merged_at = now(), loaded_at = now() - interval '33 days'")
    assert "1 archived files are older than 31 days and not sealed" in str(status.report(running)["problems"])


def test_the_status_names_reports_that_no_longer_follow() -> None:
    now = datetime.now(UTC)
    reports = {"as_of": now - timedelta(minutes=61), "changes_waiting": 3, "seconds": 1.0}
    assert "the reports are stale" in status.stale_problems(Settings(), reports)[0]
    assert status.stale_problems(Settings(), reports | {"changes_waiting": 0}) == []
    assert status.stale_problems(Settings(), reports | {"as_of": now - timedelta(minutes=59)}) == []
    assert status.stale_problems(Settings(report_every_seconds=7200), reports) == []
