"""The stack is started, broken in every part and recounted after each: nothing is lost, nothing doubled.

One stack serves all the tests, in their order. Two workers share the load.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sluice.base.settings import PROJECT
from tests.compose.conftest import TABLE
from tests.compose.stack import HEADER, ROWS_A_FILE, SERVICES, Stack

FLOW_SECONDS = 240
OWN_FILES = 10


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    made = Stack("sluice-test", environment={"SLUICE_WEB_PORT": str(free_port()), "SLUICE_GENERATE_EVERY_SECONDS": "3"})
    made.compose("down", "--volumes", "--timeout=10")
    TABLE[:] = [("", "flows again", "own rows", "lost", "doubled", "files", "rows read", "reconcile")]
    yield made
    made.compose("down", "--volumes", "--timeout=10")


def survives(stack: Stack, what: str, break_it: Callable[[], object]) -> None:
    """Land files, break something meanwhile, wait until new rows flow by themselves, then recount everything."""
    stack.land(OWN_FILES)
    # Broken in the middle: one of the files is on its way already.
    before = stack.last_file()
    stack.wait("a file was moved", lambda: stack.last_file() > before, 60)
    begun = time.monotonic()
    break_it()
    stack.wait("the ledger answers", lambda: stack.last_file() >= 0, FLOW_SECONDS)
    after = stack.last_file()
    stack.wait("rows of new files flow again", lambda: stack.generated_since(after) > 0, FLOW_SECONDS)
    flows = time.monotonic() - begun
    expect(stack, what, flows)


def expect(stack: Stack, what: str, flows: float) -> None:
    """All of the test's own rows are there, the recount holds, and the table says so."""
    expected = stack.landed * ROWS_A_FILE
    stack.wait("all own rows are loaded", lambda: stack.own_rows() == expected, FLOW_SECONDS)
    said = stack.reconcile()
    assert said.splitlines()[0].endswith("holds"), said
    doubled = stack.number(
        "SELECT coalesce(sum(rows_loaded), 0) - count(DISTINCT name) * 1000 FROM ledger.files "
        "WHERE name LIKE 'own-%' AND state = 'loaded'"
    )
    [[files, rows]] = stack.sql("SELECT count(*), sum(rows_read) FROM ledger.files WHERE state = 'loaded'")
    lost = expected - stack.own_rows()
    row = (
        what,
        f"{flows:.0f} s" if flows else "",
        f"{expected:,}",
        str(lost),
        str(doubled),
        files,
        f"{int(rows):,}",
        "holds",
    )
    TABLE.append(row)
    assert (lost, doubled) == (0, 0)


def test_the_file_is_free_of_warnings(stack: Stack) -> None:
    assert stack.compose("config", "--quiet").stdout == ""


def test_up_alone_brings_rows(stack: Stack) -> None:
    begun = time.monotonic()
    stack.compose("build", within=1800)
    built = time.monotonic() - begun
    begun = time.monotonic()
    stack.compose("up", "--detach", "--scale", "spark-worker=2", within=900)
    stack.wait_healthy()
    healthy = time.monotonic() - begun
    stack.wait("the first rows are loaded", lambda: stack.generated_since(0) > 0, FLOW_SECONDS)
    expect(stack, f"built in {built:.0f} s, healthy in {healthy:.0f} s, first rows", time.monotonic() - begun)


def test_every_service_is_healthy_limited_and_on_loopback(stack: Stack) -> None:
    assert {one["Service"] for one in stack.ps()} == SERVICES | {"secrets", "init", "web-port"}
    for one in stack.ps():
        published = {port["URL"] for port in one["Publishers"] or [] if port["PublishedPort"]}
        assert published == ({"127.0.0.1"} if one["Service"] == "api-server" else set()), one["Service"]


def test_no_secret_is_in_what_the_engine_tells(stack: Stack) -> None:
    known = stack.compose(
        "run", "--rm", "--no-deps", "-T", "--entrypoint", "cat", "init", "/run/secrets-of/all/secrets.json"
    ).stdout
    values = {line.split('"')[3] for line in known.splitlines() if line.count('"') == 4}
    assert len(values) == 10
    config = stack.compose("config").stdout
    ids = stack.compose("ps", "--all", "--quiet").stdout.split()
    told = subprocess.run(["docker", "inspect", *ids], capture_output=True, text=True, check=True).stdout
    logs = stack.compose("logs", "--no-color").stdout
    assert not [value for value in values if value in told or value in config or value in logs]


def test_a_worker_knows_only_its_own_secrets(stack: Stack) -> None:
    told = stack.compose("exec", "-T", "spark-worker", "cat", "/run/sluice/secrets.json").stdout
    assert "sluice_owner" not in told
    assert "web_password" not in told
    assert "sluice_writer" in told


def test_the_image_runs_as_a_user_and_holds_no_build_tools(stack: Stack) -> None:
    script = "id -u; for tool in gcc cc g++ make ld; do command -v $tool; done; touch /opt/sluice/x 2>&1; true"
    said = stack.compose("exec", "-T", "scheduler", "bash", "-c", script).stdout
    assert said.splitlines()[0] == "10001"
    assert [line for line in said.splitlines()[1:] if "touch" not in line] == []
    assert "Permission denied" in said


def test_nobody_submits_without_the_secret(stack: Stack) -> None:
    code = (
        "from pyspark.sql import SparkSession\n"
        "SparkSession.builder.master('spark://spark-master:7077').getOrCreate().range(3).count()\n"
    )
    said = stack.compose("exec", "-T", "spark-worker", "timeout", "60", "python", "-c", code, check=False)
    assert said.returncode != 0
    assert stack.compose("exec", "-T", "spark-worker", "bash", "docker/healthy.sh", "spark-worker").returncode == 0


def test_both_workers_load_files(stack: Stack) -> None:
    stack.land(OWN_FILES)
    hosts = "SELECT host, count(*) FROM ledger.files WHERE state = 'loaded' GROUP BY host"
    stack.wait("both workers have loaded files", lambda: len(stack.sql(hosts)) == 2, FLOW_SECONDS)
    workers = stack.compose("ps", "--quiet", "spark-worker").stdout.split()
    assert {host for host, _ in stack.sql(hosts)} == {worker[:12] for worker in workers}


def test_the_commands_work_inside_a_container(stack: Stack) -> None:
    lines = "event_id,event_type\n"
    said = stack.compose(
        "exec", "-T", "scheduler", "bash", "-c", f"printf '{lines}' | python -m sluice load --stdin no.csv", check=False
    )
    assert "rejected" in said.stdout
    found = json.loads(stack.compose("exec", "-T", "api-server", "python", "-m", "sluice", "status", "--json").stdout)
    assert found["problems"] == []
    assert found["processes"] == dict.fromkeys(("api-server", "scheduler", "dag-processor", "triggerer"), True)
    login = stack.compose("exec", "-T", "api-server", "python", "-m", "sluice", "login").stdout.split()
    assert login[:3] == ["user", "admin", "password"]
    assert sign_in(stack, "admin", login[3]) == 201
    assert sign_in(stack, "admin", "wrong") == 401


def sign_in(stack: Stack, user: str, password: str) -> int:
    """The status that the UI's login answers with."""
    body = json.dumps({"username": user, "password": password}).encode()
    return ask(stack, "POST", "auth/token", body, {"Content-Type": "application/json"})[0]


def ask(
    stack: Stack, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, Any]:
    """Status and JSON of what the web server answers; of an error no more than the status."""
    url = f"http://127.0.0.1:{stack.environment['SLUICE_WEB_PORT']}/{path}"
    request = urllib.request.Request(url, data=body, headers=headers or {}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=90) as answer:
            return int(answer.status), json.load(answer)
    except urllib.error.HTTPError as error:
        return int(error.code), None


def test_the_page_looks_judges_lands_and_shows_what_became_of_it(stack: Stack) -> None:
    password = stack.compose("exec", "-T", "api-server", "python", "-m", "sluice", "login").stdout.split()[3]
    given = json.dumps({"username": "admin", "password": password}).encode()
    token = ask(stack, "POST", "auth/token", given, {"Content-Type": "application/json"})[1]["access_token"]
    ours = {"Authorization": f"Bearer {token}", "X-Sluice": "page", "X-Sluice-Name": "dropped.csv"}
    assert ask(stack, "GET", "sluice/api/now")[0] == 401
    for room in ("now", "now/waits", "files", "contracts", "quarantine", "shop"):
        assert ask(stack, "GET", f"sluice/api/{room}", headers=ours)[0] == 200, room
    row = "00000000-0000-4000-9000-000000000001,product_view,u1,p1,shoes,{},2026-11-22T10:00:00Z,s1,10.0.0.1,,,,,,"
    data = "\n".join([HEADER, row.format("9.99"), row.format("free"), ""]).encode()
    upload = ask(stack, "POST", "sluice/api/uploads", data, ours)[1]["upload"]
    verdict = ask(stack, "POST", f"sluice/api/uploads/{upload}/check", b"", ours)[1]
    assert (verdict["contract"], verdict["rows_read"], verdict["rows_set_aside"]) == ("events", 2, 1)
    drafted = ask(stack, "POST", f"sluice/api/uploads/{upload}/draft", b"", ours)[1]
    assert "apiVersion" in drafted["text"]
    landed = ask(stack, "POST", f"sluice/api/uploads/{upload}/land", b"", ours)[1]
    path = f"sluice/api/arrivals/{landed['sha256']}?name={landed['name']}"

    def file() -> dict[str, Any]:
        return ask(stack, "GET", path, headers=ours)[1]["file"] or {}

    stack.wait("it is loaded", lambda: file().get("state") == "loaded", FLOW_SECONDS)
    assert (file()["rows_loaded"], file()["rows_rejected"]) == (1, 1)
    story = ask(stack, "GET", f"sluice/api/files/{file()['file_id']}", headers=ours)[1]
    assert story["bytes_lie"]["is_there"]


def test_a_worker_that_dies_loses_nothing(stack: Stack) -> None:
    survives(stack, "a worker killed", lambda: stack.kill("spark-worker", index=1))


def test_a_database_that_dies_loses_nothing(stack: Stack) -> None:
    survives(stack, "the database killed", lambda: stack.kill("postgres", user="postgres"))


def test_a_scheduler_that_restarts_loses_nothing(stack: Stack) -> None:
    survives(stack, "the scheduler restarted", lambda: stack.compose("restart", "scheduler"))


def test_a_scheduler_that_dies_with_the_driver_loses_nothing(stack: Stack) -> None:
    survives(stack, "the scheduler killed, and the driver with it", lambda: stack.kill("scheduler"))


def test_a_master_that_dies_loses_nothing(stack: Stack) -> None:
    survives(stack, "Spark's master killed", lambda: stack.kill("spark-master"))


def test_a_restart_of_everything_loses_nothing(stack: Stack) -> None:
    survives(stack, "docker compose restart", lambda: stack.compose("restart"))


def test_down_and_up_lose_nothing(stack: Stack) -> None:
    def down_and_up() -> None:
        stack.compose("stop")
        assert "database system is shut down" in stack.compose("logs", "postgres").stdout
        stack.compose("down")
        stack.compose("up", "--detach", "--scale", "spark-worker=2")

    survives(stack, "down and up", down_and_up)
    stack.wait_healthy()


def test_a_restore_goes_back_and_what_landed_since_lands_again(stack: Stack, tmp_path: Path) -> None:
    def loaded() -> bool:
        return stack.own_rows() == stack.landed * ROWS_A_FILE

    stack.land(OWN_FILES)
    stack.wait("all own rows are loaded", loaded, FLOW_SECONDS)
    backup = tmp_path / "one.dump"
    assert f"the backup is {backup}" in make(stack, "backup", backup)
    stack.land(OWN_FILES)
    stack.wait("all own rows are loaded", loaded, FLOW_SECONDS)
    begun = time.monotonic()
    said = make(stack, "restore", backup)
    assert "files land again" in said
    stack.wait("the stream loads again", loaded, FLOW_SECONDS)
    expect(stack, "restored to an older backup", time.monotonic() - begun)


def test_what_is_no_backup_changes_nothing(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "no.dump").write_text("nothing that pg_restore reads")
    assert "nothing was changed" in make(stack, "restore", tmp_path / "no.dump", code=2)
    stack.wait_healthy()
    stack.land(1)
    expect(stack, "after a restore that failed", 0)


def make(stack: Stack, target: str, file: Path, code: int = 0) -> str:
    """What `make backup` and `make restore` print."""
    done = subprocess.run(
        ["make", "--silent", target, f"FILE={file}", "CONTAINERS=yes"],
        cwd=PROJECT,
        env=os.environ | {"COMPOSE_PROJECT_NAME": stack.project} | stack.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
    )
    assert done.returncode == code, done.stdout
    return done.stdout


def test_the_generator_can_be_left_out(stack: Stack) -> None:
    stack.environment["SLUICE_GENERATOR"] = "off"
    stack.compose("up", "--detach", "--scale", "spark-worker=2")
    stack.wait_healthy()
    paused = "SELECT count(*) FROM dag WHERE dag_id = 'generate_events' AND is_paused"
    words = ["psql", "-XAtq", "-U", "postgres", "-d", "airflow", "-c", paused]
    assert stack.compose("exec", "-T", "postgres", *words).stdout.strip() == "1"
    stack.land(1)
    expect(stack, "the generator left out", 0)
