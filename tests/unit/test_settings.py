"""Settings: read in one place, listed with their defaults in .env.example, refused with a remedy."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from sluice.base import settings
from sluice.base.env_file import read_env_file
from sluice.base.settings import PROJECT, SettingError, Settings
from sluice.cli import main as cli
from sluice.containers import main as containers

EXAMPLE = PROJECT / ".env.example"


def listed() -> dict[str, str]:
    written: dict[str, str] = {}
    read_env_file(EXAMPLE, written)
    return written


def test_every_setting_is_listed_in_the_example_and_nothing_else() -> None:
    assert listed().keys() == {f"SLUICE_{field.name.upper()}" for field in fields(Settings)}


def test_the_example_lists_the_defaults() -> None:
    assert settings.load(listed()) == Settings()


def test_an_empty_value_is_the_default() -> None:
    assert settings.load({"SLUICE_WEB_PORT": "", "SLUICE_HOME": " "}) == Settings()


@pytest.mark.parametrize("text", ["on", "TRUE", "1", "yes"])
def test_a_switch_is_read_in_every_spelling(text: str) -> None:
    assert settings.load({"SLUICE_GENERATOR": text}).generator is True
    assert settings.load({"SLUICE_GENERATOR": "off"}).generator is False


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("SLUICE_GENERATOR", "maybe"),
        ("SLUICE_WEB_PORT", "eighty"),
        ("SLUICE_SETTLE_SECONDS", "soon"),
        ("SLUICE_SETTLE_SECONDS", "0"),
        ("SLUICE_REPORT_SHARE", "0"),
        ("SLUICE_REPORT_SHARE", "2"),
        ("SLUICE_SETTLE_SECONDS", "nan"),
        ("SLUICE_LEASE_SECONDS", "inf"),
        ("SLUICE_WEB_PORT", "99999"),
        ("SLUICE_POSTGRES_PORT", "-1"),
        ("SLUICE_DUCKDB_MEMORY", "lots"),
        ("SLUICE_SPARK_DRIVER_MEMORY", "5x"),
        ("SLUICE_GENERATE_DIRTY_SHARE", "1.5"),
        ("SLUICE_GENERATE_ROWS", "0"),
        ("SLUICE_BACKUP_EVERY_HOURS", "-1"),
        ("SLUICE_KEEP_BACKUPS", "0"),
        ("SLUICE_KEEP_REPLACED_HOURS", "0"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(name: str, text: str) -> None:
    with pytest.raises(SettingError, match=re.escape(name)):
        settings.load({name: text})


@pytest.mark.parametrize(
    "zone", ["UTC", "Europe/Berlin", "America/Argentina/Salta", "America/Port-au-Prince", "Etc/GMT+5"]
)
def test_the_shop_s_zone_is_a_place(zone: str) -> None:
    assert settings.load({"SLUICE_SHOP_ZONE": zone}).shop_zone == zone


@pytest.mark.parametrize(
    "zone",
    [
        "Europe/Atlantis",
        "Berlin",
        "CET",
        "EST5EDT",
        "+01:00",
        "America/Argentina",
        "posix/Europe/Berlin",
        "../UTC",
        "/etc/x",
    ],
)
def test_a_zone_that_is_none_or_that_postgresql_reads_otherwise_is_refused_with_the_remedy(zone: str) -> None:
    with pytest.raises(SettingError, match=r"^SLUICE_SHOP_ZONE='.*write the IANA's name of a place"):
        settings.load({"SLUICE_SHOP_ZONE": zone})


def test_the_shop_s_feeds_are_names_with_commas_between_them() -> None:
    assert settings.load({"SLUICE_SHOP_FEEDS": " orders,returns ,, "}).shop_feed_names == ("orders", "returns")
    assert Settings().shop_feed_names == ()


def test_a_stream_must_end_before_housekeeping_deletes_its_run() -> None:
    with pytest.raises(SettingError, match="SLUICE_KEEP_RUNS_HOURS"):
        settings.load({"SLUICE_STREAM_LIFE_SECONDS": "7200", "SLUICE_KEEP_RUNS_HOURS": "2"})


def test_a_relative_home_is_held_against_the_project() -> None:
    assert Settings(home="data").home_dir == PROJECT / "data"
    assert Settings(home="/var/lib/sluice").home_dir == Path("/var/lib/sluice")


def test_without_a_database_the_error_says_what_to_do() -> None:
    with pytest.raises(SettingError, match="make up"):
        _ = Settings().writer_dsn


def test_a_typo_in_a_setting_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(
        SettingError, match=r"SLUICE_GENRATOR is no setting \(did you mean SLUICE_GENERATOR\?\)"
    ) as error:
        settings.refuse_unknown({"SLUICE_GENRATOR": "off", "sluice_web_port": "1", "SLUICE_ZZZ": "1", "HOME": "/"})
    assert "sluice_web_port is no setting (did you mean SLUICE_WEB_PORT?)" in str(error.value)
    assert "SLUICE_ZZZ is no setting; " in str(error.value)
    assert ".env.example" in str(error.value)


def test_a_variable_of_something_else_is_let_through_by_name() -> None:
    settings.refuse_unknown(
        {"SLUICE_GATE": "open", "SLUICE_KEEPER": "x", "SLUICE_IGNORE": "SLUICE_GATE, SLUICE_KEEPER"}
    )


def test_every_variable_that_the_code_uses_is_known() -> None:
    """One that a process sets for another must not stop a command inside it."""
    named = set()
    for folder in ("sluice", "spark_jobs", "plugins", "dags", "docker", "bench", "tests/chaos", "tests/compose"):
        for path in (PROJECT / folder).rglob("*.*"):
            if path.suffix in (".py", ".sh"):
                named |= set(re.findall(r"\bSLUICE_[A-Z0-9_]*[A-Z0-9]\b", path.read_text()))
    named |= set(re.findall(r"SLUICE_[A-Z0-9_]+", (PROJECT / "docker-compose.yaml").read_text()))
    assert len(named) > 30
    assert settings.unknown(dict.fromkeys(named - {"SLUICE_X_Y"}, "")) == []


def test_a_command_refuses_what_airflow_s_processes_ignore_with_a_warning(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("SLUICE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SLUICE_GENRATOR", "off")
    assert cli.main(["status"]) == 1
    assert "did you mean SLUICE_GENERATOR?" in capsys.readouterr().err
    assert containers.main(["healthy", "SchedulerJob"]) == 1
    assert "did you mean SLUICE_GENERATOR?" in capsys.readouterr().out
    assert settings.load().generator is True
    assert "SLUICE_GENRATOR is no setting (did you mean SLUICE_GENERATOR?): it is ignored" in caplog.text
