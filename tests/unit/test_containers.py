"""What docker-compose.yaml promises without an engine, and what each container is told."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from sluice.base.settings import PROJECT, SettingError, Settings
from sluice.containers import init
from sluice.containers.instance import PARTS, AllSecrets, Containers
from sluice.ledger import roles
from sluice.running.pipeline import InstanceError

ONCE = {"secrets", "init", "web-port"}
# Where state and servers are is fixed by the compose file; the rest is passed on.
FIXED = {
    *("home", "database_url", "writer_url", "reader_url", "airflow_database_url", "postgres_bin", "postgres_port"),
    *("contracts", "spark_master", "spark_conf", "incoming_group", "report_folder"),
    *("backup_folder", "backup_every_hours", "keep_backups"),
}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((PROJECT / "docker-compose.yaml").read_text())
    return found


@pytest.fixture
def dealt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    for part in ("all", "postgres", *PARTS):
        (tmp_path / "dealt" / part).mkdir(parents=True)
    AllSecrets(Settings(home=str(tmp_path)), tmp_path / "dealt").deal()
    return tmp_path / "dealt"


def test_every_setting_is_passed_on_or_fixed(compose: dict[str, Any]) -> None:
    passed = set(compose["x-settings"])
    assert passed == {f"SLUICE_{field.name.upper()}" for field in fields(Settings) if field.name not in FIXED}
    assert set(compose["x-settings"].values()) == {None}, "a default stands in sluice/base/settings.py alone"


def test_every_service_is_limited_restarted_and_rotates_its_log(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert service["restart"] == ("no" if name in ONCE else "unless-stopped"), name
        assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory"}, name
        assert service["logging"]["options"].keys() == {"max-size", "max-file"}, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name


def test_every_service_that_stays_has_a_health_check(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert ("healthcheck" in service) == (name not in ONCE), name


def test_only_the_web_page_is_published_and_only_on_loopback(compose: dict[str, Any]) -> None:
    published = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert published == {"api-server": ["127.0.0.1:${SLUICE_WEB_PORT:-8080}:8080"]}


def test_all_limits_together_fit_a_small_machine(compose: dict[str, Any]) -> None:
    staying = [service for name, service in compose["services"].items() if name not in ONCE]
    sizes = [service["deploy"]["resources"]["limits"]["memory"] for service in staying]
    assert sum(int(size.removesuffix("M")) for size in sizes) <= 10 * 1024


def test_each_part_is_dealt_its_own_secrets_only(dealt: Path) -> None:
    everything = json.loads((dealt / "all" / "secrets.json").read_text())
    spark = json.loads((dealt / "spark" / "secrets.json").read_text())
    airflow = json.loads((dealt / "airflow" / "secrets.json").read_text())
    assert spark.keys() == {"sluice_writer", "sluice_reader", "spark_secret"}
    assert not airflow.keys() & {"sluice_owner", "postgres"}
    assert (dealt / "postgres" / "password").read_text() == everything["postgres"]
    assert len(set(everything.values())) == len(everything)


def test_secrets_are_for_their_owner_only(dealt: Path) -> None:
    files = [path for path in dealt.rglob("*") if path.is_file()]
    assert len(files) == 4
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


def test_secrets_stay_the_same_at_the_next_start(dealt: Path) -> None:
    before = {path: path.read_text() for path in dealt.rglob("*") if path.is_file()}
    AllSecrets(Settings(home=str(dealt)), dealt).deal()
    assert before == {path: path.read_text() for path in dealt.rglob("*") if path.is_file()}


def test_airflow_is_told_addresses_of_the_network_and_never_the_owner(dealt: Path) -> None:
    instance = Containers(Settings(web_port=9999), dealt / "airflow" / "secrets.json")
    environment = instance.environment(instance.running(), {"SLUICE_DATABASE_URL": "postgresql://owner"})
    everything = json.loads((dealt / "all" / "secrets.json").read_text())
    assert not [name for name, value in environment.items() if everything["sluice_owner"] in value]
    assert "SLUICE_DATABASE_URL" not in environment
    assert "@postgres:5432/airflow" in environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
    assert environment["SLUICE_AIRFLOW_DATABASE_URL"] == environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
    assert json.loads(environment["AIRFLOW_CONN_SPARK_DEFAULT"])["host"] == "spark://spark-master:7077"
    assert environment["AIRFLOW__API__BASE_URL"] == "http://127.0.0.1:9999"
    assert "postgres:5432" in environment["AIRFLOW_CONN_SLUICE_READER"]


def test_spark_is_told_its_secret_in_a_file_of_its_own(dealt: Path, tmp_path: Path) -> None:
    (tmp_path / "user").mkdir()
    instance = Containers(Settings(), dealt / "spark" / "secrets.json")
    instance.write_spark_conf(**{"spark.driver.host": "here"})
    lines = [
        line.split(maxsplit=1) for line in instance.spark_conf.read_text().splitlines() if line[:1] not in ("", "#")
    ]
    known = {name: value.strip() for name, value in lines}
    assert known["spark.authenticate"] == "true"
    assert known["spark.authenticate.secret"] == instance.secrets()["spark_secret"]
    assert known["spark.driver.host"] == "here"
    assert known["spark.ui.enabled"] == "false", "the project's own properties come along"
    assert instance.spark_conf.stat().st_mode & 0o777 == 0o600


def test_a_container_without_secrets_says_how_to_start(tmp_path: Path) -> None:
    with pytest.raises(InstanceError, match="docker compose up"):
        Containers(Settings(), tmp_path / "secrets.json")


def test_roles_that_init_makes_are_those_that_are_dealt() -> None:
    assert {"sluice_writer", "sluice_reader", "airflow"} == set(roles.ROLES) & set(PARTS["airflow"])


def test_a_typo_in_the_host_s_env_file_is_refused_by_init(tmp_path: Path, compose: dict[str, Any]) -> None:
    assert f".:{init.HOST}:ro" in compose["services"]["init"]["volumes"]
    init.refuse_unknown_in_file(tmp_path / ".env")
    (tmp_path / ".env").write_text("SLUICE_HOME=data\nSLUICE_GENRATOR=off\n")
    with pytest.raises(SettingError, match="did you mean SLUICE_GENERATOR"):
        init.refuse_unknown_in_file(tmp_path / ".env")
