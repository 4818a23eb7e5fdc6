"""The one place that reads the environment.

Every variable is listed, with its default and meaning, in ``.env.example``; a unit test keeps the two in step.
"""

from __future__ import annotations

import difflib
import functools
import logging
import math
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from sluice.base.log_lines import KINDS
from sluice.base.zones import is_zone

PROJECT = Path(__file__).resolve().parents[2]
SQL = PROJECT / "include" / "sql"
PREFIX = "SLUICE_"
# Ours, but nothing to turn: what processes of ours tell one another, and what tests say.
_BETWEEN_PROCESSES = {"SLUICE_INSTANCE", "SLUICE_STREAM_TOKEN", "SLUICE_SUBMITTER_PID"}
_FOR_TESTS = ("SLUICE_CRASH_", "SLUICE_TEST_")


class SettingError(ValueError):
    """An environment variable holds a value that cannot be used; the message names it, the value and the remedy."""


@dataclass(frozen=True)
class Settings:
    """What a user may turn. A field ``x_y`` is the environment variable ``SLUICE_X_Y``; units are in the names."""

    # Names of variables that begin with SLUICE_ and belong to something else, with commas between them.
    ignore: str = ""

    # Where state lives: database, landing folders, checkpoint, Airflow home, logs, secrets.
    home: str = "data"

    # Who else may see what the pipeline keeps, and who may land files.
    umask: str = "077"
    incoming_group: str = ""

    # PostgreSQL. Empty database_url: the embedded server. The writer and reader default to the owner's URL.
    database_url: str = ""
    writer_url: str = ""
    reader_url: str = ""
    postgres_bin: str = ""
    postgres_port: int = 0

    # The web UI of Airflow, always on loopback under `make run`. 0 picks a free port.
    web_port: int = 8080

    # How the stream logs: text or json.
    log: str = "text"

    # What a monitor must know to be told figures; empty: nobody is told any.
    metrics_token: str = ""

    # The generator of shop events.
    generator: bool = True
    generate_every_seconds: float = 5.0
    generate_rows: int = 1000
    generate_rhythm: bool = True
    generate_dirty_share: float = 0.01
    generate_late_share: float = 0.02
    generate_repeat_share: float = 0.01
    generate_seed: str = ""
    generate_ids: str = "random"

    # Sensing and moving.
    settle_seconds: float = 1.0
    sense_seconds: float = 0.5
    sensor_timeout_seconds: float = 300.0

    # The folder of the data contracts (*.odcs.yaml).
    contracts: str = "include/contracts"

    # Days on which no feed is expected that comes on working days.
    holidays: str = ""

    # The stream.
    spark_master: str = ""
    spark_driver_memory: str = "1g"
    spark_conf: str = "spark_jobs/spark.conf"
    stream_tasks: int = 2
    trigger_seconds: float = 1.0
    batch_files: int = 200
    batch_bytes: int = 1_000_000_000
    big_file_bytes: int = 64_000_000
    lease_seconds: float = 15.0
    submit_seconds: float = 120.0
    drain_seconds: float = 600.0
    stream_life_seconds: float = 21_600.0
    backoff_seconds: float = 1.0
    backoff_max_seconds: float = 15.0
    record_bytes_max: int = 16 * 1024 * 1024
    columns_max: int = 4096
    chunk_bytes: int = 16 * 1024 * 1024
    duckdb_memory: str = "256MB"

    # How much time a partition of events holds that is made from now on: day, week, month, quarter or year.
    events_partition: str = "month"

    # What is handed over on the page, before it lands.
    upload_bytes_max: int = 1_000_000_000

    # An unload tries for so long to get a file that others use.
    unload_patience_seconds: float = 120.0

    # On duty: how often it is looked, who is told, and when. The URLs hold passwords.
    duty_every_seconds: float = 60.0
    alert_url: str = field(default="", repr=False)
    alert_hold_seconds: float = 120.0
    alert_gap_seconds: float = 300.0
    disk_low_bytes: int = 5_000_000_000
    page_url: str = ""

    # Reports and housekeeping.
    report_every_seconds: float = 300.0
    report_share: float = 0.05
    shop_zone: str = "UTC"
    shop_feeds: str = ""
    report_folder: str = "reports"
    keep_report_days: float = 30.0
    keep_house_every_seconds: float = 3600.0
    keep_runs_hours: float = 24.0
    keep_logs_days: float = 2.0
    keep_archive_days: float = 30.0
    keep_batches_days: float = 7.0
    merge_every_hours: float = 24.0
    keep_events_months: int = 0  # for ever

    # Backups.
    backup_folder: str = "backups"
    backup_every_hours: float = 0.0  # by hand only
    keep_backups: int = 7
    keep_replaced_hours: float = 72.0
    # Who is told of lineage (OpenLineage): a URL or a file, and the key of the backend.
    lineage: str = ""
    lineage_key: str = ""
    lineage_every_seconds: float = 60.0

    # Whether each arrival is told by the days of its events too, as partitions of Airflow's asset events_by_day.
    asset_by_day: bool = False

    airflow_database_url: str = ""  # Airflow's own metadata, which it hides from tasks; the launcher sets it

    @property
    def home_dir(self) -> Path:
        """The state folder, absolute; a relative value is held against the project's folder."""
        return (PROJECT / self.home).resolve()

    @property
    def incoming_dir(self) -> Path:
        """Where producers land CSV files."""
        return self.home_dir / "incoming"

    @property
    def processing_dir(self) -> Path:
        """Where registered files wait for the stream."""
        return self.home_dir / "processing"

    @property
    def archive_dir(self) -> Path:
        """Where finished files are kept, in a folder by state and day."""
        return self.home_dir / "archive"

    @property
    def uploads_dir(self) -> Path:
        """Where files lie that somebody handed over on the page, until they are landed."""
        return self.home_dir / "uploads"

    @property
    def report_dir(self) -> Path:
        """Where the pages of the reports are written; a relative value is held against the state folder."""
        return self.home_dir / self.report_folder

    @property
    def backup_dir(self) -> Path:
        """Where backups are; a relative value is held against the project's folder."""
        return (PROJECT / self.backup_folder).resolve()

    @property
    def checkpoint_dir(self) -> Path:
        """The checkpoints of the stream, a folder a lane."""
        return self.home_dir / "checkpoint"

    @property
    def shop_feed_names(self) -> tuple[str, ...]:
        """The contracts whose feeds are the shop's own, as the user named them; none when nobody did."""
        return tuple(name.strip() for name in self.shop_feeds.split(",") if name.strip())

    @property
    def alert_urls(self) -> tuple[str, ...]:
        """Whom to tell, a URL each. A comma within one, between addresses say, parts nothing."""
        return tuple(url for url in re.split(r"[\s,]+(?=[A-Za-z][\w+.-]*://)", self.alert_url.strip(" ,")) if url)

    @property
    def file_mode(self) -> int:
        """What a file of the pipeline's may have at most."""
        return 0o666 & ~int(self.umask, 8)

    @property
    def folder_mode(self) -> int:
        """What a folder of the pipeline's may have at most."""
        return 0o777 & ~int(self.umask, 8)

    @property
    def contracts_dir(self) -> Path:
        """The folder of the data contracts, absolute; a relative value is held against the project's folder."""
        return (PROJECT / self.contracts).resolve()

    @property
    def holidays_file(self) -> Path | None:
        """The list of holidays, absolute, None without one; a relative value is held against the project's folder."""
        return (PROJECT / self.holidays).resolve() if self.holidays else None

    @property
    def spark_conf_file(self) -> Path:
        """The properties that spark-submit is given, absolute; a relative value is held against the project."""
        return (PROJECT / self.spark_conf).resolve()

    @property
    def owner_dsn(self) -> str:
        """URL of the role that owns the schema; raises SettingError when no database is set."""
        return self._dsn(self.database_url)

    @property
    def writer_dsn(self) -> str:
        """URL of the role that moves and loads; raises SettingError when no database is set."""
        return self._dsn(self.writer_url or self.database_url)

    @property
    def reader_dsn(self) -> str:
        """URL of the role that reads events and publishes reports; raises SettingError when no database is set."""
        return self._dsn(self.reader_url or self.database_url)

    @staticmethod
    def _dsn(url: str) -> str:
        if not url:
            raise SettingError(
                "no database is set: start the pipeline with `make up`, or set SLUICE_DATABASE_URL=postgresql://…"
            )
        return url


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from ``environ`` (default: the process's own).

    Raises SettingError for a value of the wrong kind, and when two values contradict each other.
    """
    if environ is None:
        environ = os.environ
        _warn_of(tuple(unknown(environ)))
    values: dict[str, Any] = {}
    for one in fields(Settings):
        name = f"SLUICE_{one.name.upper()}"
        text = environ.get(name)
        if text is not None and text.strip() != "":
            values[one.name] = _parse(name, text.strip(), str(one.type))
    settings = Settings(**values)
    _check(settings)
    return settings


def unknown(environ: Mapping[str, str]) -> list[str]:
    """A sentence for each variable that begins with SLUICE_ and means nothing: a typo must not pass for a setting."""
    settings = {f"{PREFIX}{one.name.upper()}" for one in fields(Settings)}
    known = settings | _BETWEEN_PROCESSES | {name.strip() for name in environ.get("SLUICE_IGNORE", "").split(",")}
    strange = [
        name
        for name in sorted(environ)
        if name.upper().startswith(PREFIX) and name not in known and not name.startswith(_FOR_TESTS)
    ]
    return [f"{name} is no setting{_nearest(name, settings)}" for name in strange]


def refuse_unknown(environ: Mapping[str, str]) -> None:
    """Raises SettingError when a variable begins with SLUICE_ and means nothing."""
    if strange := unknown(environ):
        raise SettingError(
            f"{'; '.join(strange)}. Correct it in the environment or in .env; .env.example lists all settings. "
            "To go on with a variable of something else, add its name to SLUICE_IGNORE"
        )


def _nearest(name: str, settings: Iterable[str]) -> str:
    by_end = {setting.removeprefix(PREFIX): setting for setting in settings}
    found = difflib.get_close_matches(name.upper().removeprefix(PREFIX), by_end, n=1)
    return f" (did you mean {by_end[found[0]]}?)" if found else ""


@functools.cache
def _warn_of(sentences: tuple[str, ...]) -> None:
    """Airflow's processes and Spark's go on: what starts them has refused before, unless somebody else did."""
    for sentence in sentences:
        logging.getLogger(__name__).warning("%s: it is ignored", sentence)


def _parse(name: str, text: str, kind: str) -> object:
    try:
        if kind == "bool":
            return _YES_OR_NO[text.lower()]
        if kind == "int":
            return int(text)
        if kind == "float":
            return float(text)
    except (KeyError, ValueError):
        wanted = {"bool": "on or off", "int": "a whole number", "float": "a number"}[kind]
        raise SettingError(f"{name}={text!r} is not {wanted}: correct it, or unset it for the default") from None
    return text


def _check(settings: Settings) -> None:
    for one in fields(Settings):
        value = getattr(settings, one.name)
        name = f"SLUICE_{one.name.upper()}"
        if one.name.endswith("_share") and not 0 <= value <= 1:
            raise SettingError(f"{name}={value} is not a share between 0 and 1")
        is_never = one.name == "backup_every_hours" and value == 0
        if one.name.endswith(("_seconds", "_hours", "_days")) and not (0 < value < math.inf or is_never):
            raise SettingError(f"{name}={value} must be a number that is more than 0")
        if one.name.endswith("_port") and not 0 <= value <= 65_535:
            raise SettingError(f"{name}={value} is no port: 1 to 65535, or 0 for any free one")
        if one.name in _SIZES and not re.fullmatch(_SIZES[one.name], value, re.IGNORECASE):
            raise SettingError(f"{name}={value!r} is no size: write it as {getattr(Settings, one.name)!r}")
        if one.name == "keep_events_months" and not 0 <= value <= _MONTHS_MAX:
            raise SettingError(f"{name}={value} is no number of months: 1 to {_MONTHS_MAX}, or nothing to keep all")
        if one.name in _AT_LEAST_ONE and value < 1:
            raise SettingError(f"{name}={value} must be at least 1")
    if settings.report_share == 0:
        raise SettingError("SLUICE_REPORT_SHARE=0 would refresh the reports once and never again: 0.05 is usual")
    if settings.generate_ids not in ("random", "ordered"):
        raise SettingError(
            f"SLUICE_GENERATE_IDS={settings.generate_ids!r} is neither random (uuid 4) nor ordered (by time, uuid 7)"
        )
    if settings.events_partition not in _PARTITIONS:
        raise SettingError(f"SLUICE_EVENTS_PARTITION={settings.events_partition!r} is none of {', '.join(_PARTITIONS)}")
    if settings.log not in KINDS:
        raise SettingError(f"SLUICE_LOG={settings.log!r} is neither text nor json")
    if settings.metrics_token and not re.fullmatch(r"[\x21-\x7e]{16,}", settings.metrics_token):
        raise SettingError(
            "SLUICE_METRICS_TOKEN is no token: 16 letters, digits and signs of ASCII or more, without spaces; "
            "`openssl rand -hex 32` makes one"
        )
    if not is_zone(settings.shop_zone):
        raise SettingError(
            f"SLUICE_SHOP_ZONE={settings.shop_zone!r} is no time zone: write the IANA's name of a place, such as "
            "Europe/Berlin, or UTC (to PostgreSQL, a short name such as CET is without summer time)"
        )
    if not re.fullmatch("0?0[0-7]{2}", settings.umask):
        raise SettingError(
            f"SLUICE_UMASK={settings.umask!r} is no umask that leaves this user everything: 077 shows others nothing, "
            "027 lets the group read"
        )
    if settings.stream_life_seconds >= settings.keep_runs_hours * 3600:
        raise SettingError(
            f"SLUICE_STREAM_LIFE_SECONDS={settings.stream_life_seconds:g} must be shorter than "
            f"SLUICE_KEEP_RUNS_HOURS={settings.keep_runs_hours:g} (hours): housekeeping would delete the run "
            "of a living stream; shorten the life or keep runs longer"
        )


# As Java and DuckDB read them.
_SIZES = {"spark_driver_memory": r"[1-9]\d*[kmgt]b?", "duckdb_memory": r"\d+(\.\d+)?\s*([kmgt]i?b|%)"}
_MONTHS_MAX = 1200
_YES_OR_NO = dict.fromkeys(("1", "true", "on", "yes"), True) | dict.fromkeys(("0", "false", "off", "no"), False)
_PARTITIONS = ("day", "week", "month", "quarter", "year")
_AT_LEAST_ONE = {
    "generate_rows",
    "stream_tasks",
    "batch_files",
    "batch_bytes",
    "big_file_bytes",
    "record_bytes_max",
    "columns_max",
    "chunk_bytes",
    "upload_bytes_max",
    "keep_backups",
    "disk_low_bytes",
}
