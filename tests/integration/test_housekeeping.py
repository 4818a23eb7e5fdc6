"""Housekeeping on a real PostgreSQL, as the writer. Rows and files are made older; the clock is not moved."""

from __future__ import annotations

import hashlib
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sluice.base.settings import Settings
from sluice.ledger import file_names
from sluice.proof import sealing
from sluice.proof.sealing import UnverifiedError
from sluice.running import airflow_metadata, trimming
from tests.loading import make_months

Row = dict[str, Any]
OLD = "2025-01-02"
CONTENT = b"event_id\n1\n2\n3\n"


def archive(
    connection: psycopg.Connection[Row],
    settings: Settings,
    name: str,
    *,
    state: str = "loaded",
    day: str = OLD,
    content: bytes = CONTENT,
    duplicate_of: int | None = None,
) -> tuple[int, Path]:
    """A finished file of ``day``, in the ledger (as read 3, loaded 1, rejected 1, duplicate 1) and in the archive."""
    sha256 = hashlib.sha256(content).hexdigest()
    row = connection.execute(
        """
        INSERT INTO ledger.files (name, path, sha256, bytes, landed_at, moved_at, state, duplicate_of)
        VALUES (%(name)s, '', %(sha256)s, %(bytes)s, %(day)s, %(day)s, %(state)s, %(duplicate_of)s)
        RETURNING file_id
        """,
        {
            "name": name,
            "sha256": sha256,
            "bytes": len(content),
            "day": day,
            "state": "landed" if state == "loaded" else state,
            "duplicate_of": duplicate_of,
        },
    ).fetchone()
    assert row is not None
    file_id = row["file_id"]
    path = settings.archive_dir / state / day / str(file_names.make(file_id, sha256, name))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    connection.execute(
        "UPDATE ledger.files SET path = %s WHERE file_id = %s", [str(path.relative_to(settings.home_dir)), file_id]
    )
    if state == "loaded":
        _fill(connection, file_id, day)
    return file_id, path


def _fill(connection: psycopg.Connection[Row], file_id: int, day: str) -> None:
    connection.execute(
        """
        UPDATE ledger.files
        SET state = 'loaded', contract = 'events', loaded_at = %s,
            rows_read = 3, rows_loaded = 1, rows_rejected = 1, rows_duplicate = 1, merged_at = now()
        WHERE file_id = %s
        """,
        [day, file_id],
    )
    make_months(connection, "2026-11-22")
    connection.execute(
        "INSERT INTO events (event_id, event_type, event_time, file_id, record_number)"
        " VALUES (gen_random_uuid(), 'search', '2026-11-22', %s, 1)",
        [file_id],
    )
    connection.execute(
        "INSERT INTO ledger.rejects"
        " (file_id, record_number, line_number, raw, rules, error_class, contract, contract_version)"
        " VALUES (%s, 2, 3, '2', '{rule}', 'rule', 'events', '1.0.0')",
        [file_id],
    )
    connection.execute(
        "INSERT INTO ledger.duplicates (file_id, record_number, event_id, event_time)"
        " VALUES (%s, 3, gen_random_uuid(), '2026-11-22')",
        [file_id],
    )


def sealed(connection: psycopg.Connection[Row]) -> list[int]:
    query = "SELECT file_id FROM ledger.files WHERE sealed_at IS NOT NULL ORDER BY 1"
    return [row["file_id"] for row in connection.execute(query)]


def count(connection: psycopg.Connection[Row], table: str) -> int:
    row = connection.execute(f"SELECT count(*) AS rows FROM {table}").fetchone()  # type: ignore[call-overload]
    assert row is not None
    return int(row["rows"])


# --- the archive


def test_an_old_file_that_adds_up_is_sealed_and_its_bytes_go(
    settings: Settings, connection: psycopg.Connection[Row], writer: psycopg.Connection[Row]
) -> None:
    file_id, path = archive(connection, settings, "a.csv")
    outcome = sealing.seal_archive(settings, writer)
    assert (outcome.files, outcome.bytes, sealed(connection)) == (1, len(CONTENT), [file_id])
    assert not path.exists()
    assert not path.parent.exists()
    assert [count(connection, table) for table in ("events", "ledger.rejects", "ledger.files")] == [1, 1, 1]


def test_a_second_call_finds_nothing_to_do(
    settings: Settings, connection: psycopg.Connection[Row], writer: psycopg.Connection[Row]
) -> None:
    archive(connection, settings, "a.csv")
    sealing.seal_archive(settings, writer)
    assert str(sealing.seal_archive(settings, writer)) == str(sealing.Sealed())


def test_a_young_file_is_left_alone(
    settings: Settings, connection: psycopg.Connection[Row], writer: psycopg.Connection[Row]
) -> None:
    _, path = archive(connection, settings, "a.csv", day=datetime.now(UTC).date().isoformat())
    sealing.seal_archive(settings, writer)
    assert path.exists()
    assert sealed(connection) == []


def test_the_clock_is_a_parameter(
    settings: Settings, connection: psycopg.Connection[Row], writer: psycopg.Connection[Row]
) -> None:
    file_id, _ = archive(connection, settings, "a.csv")
    sealing.seal_archive(settings, writer, now=datetime(2025, 1, 20, tzinfo=UTC))
    assert sealed(connection) == []
    sealing.seal_archive(settings, writer, now=datetime(2025, 2, 20, tzinfo=UTC))
    assert sealed(connection) == [file_id]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ("DELETE FROM events", "rows_loaded=1 of which 0 expired, the tables hold 0"),
        ("DELETE FROM ledger.rejects", "rows_rejected=1, the tables hold 0"),
        ("UPDATE ledger.rejects SET state = 'replayed'", "rows_rejected=1, the tables hold 0"),
        ("DELETE FROM ledger.duplicates", "rows_duplicate=1, the tables hold 0"),
        ("UPDATE ledger.files SET bytes = bytes + 1", "holds 15 bytes"),
        ("UPDATE ledger.files SET path = 'processing/a.csv'", "not in the archive"),
        ("UPDATE ledger.files SET path = 'archive/loaded/gone.csv'", "No such file"),
    ],
)
def test_what_cannot_be_verified_is_kept_and_said_after_the_others_are_sealed(
    settings: Settings,
    connection: psycopg.Connection[Row],
    writer: psycopg.Connection[Row],
    damage: str,
    reason: str,
) -> None:
    _, broken = archive(connection, settings, "broken.csv")
    connection.execute(damage)  # type: ignore[call-overload]
    good_id, good = archive(connection, settings, "good.csv", content=b"other")
    with pytest.raises(UnverifiedError, match=rf"kept 1 archived files .*broken\.csv.*{reason}"):
        sealing.seal_archive(settings, writer)
    assert (broken.exists(), good.exists(), sealed(connection)) == (True, False, [good_id])


def test_changed_bytes_of_equal_length_are_noticed(
    settings: Settings, connection: psycopg.Connection[Row], writer: psycopg.Connection[Row]
) -> None:
    _, path = archive(connection, settings, "a.csv")
    path.write_bytes(CONTENT.replace(b"3", b"4"))
    with pytest.raises(UnverifiedError, match="sha256"):
        sealing.seal_archive(settings, writer)
    assert path.exists()


def test_a_link_in_the_archive_is_not_followed(
    settings: Settings, connection: psycopg.Connection[Row], writer: psycopg.Connection[Row], tmp_path: Path
) -> None:
    _, path = archive(connection, settings, "a.csv")
    path.rename(tmp_path / "elsewhere.csv")
    path.symlink_to(tmp_path / "elsewhere.csv")
    with pytest.raises(UnverifiedError, match=r"a\.csv"):
        sealing.seal_archive(settings, writer)
    assert (tmp_path / "elsewhere.csv").exists()


def test_a_crash_between_seal_and_delete_is_finished_by_the_next_call(
    settings: Settings,
    connection: psycopg.Connection[Row],
    writer: psycopg.Connection[Row],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file_id, path = archive(connection, settings, "a.csv")

    def crash(self: Path, missing_ok: bool = False) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", crash)
        with pytest.raises(KeyboardInterrupt):
            sealing.seal_archive(settings, writer)
    assert (path.exists(), sealed(connection)) == (True, [file_id])
    outcome = sealing.seal_archive(settings, writer)
    assert (path.exists(), outcome.leftovers, outcome.files) == (False, 1, 0)


def test_a_file_that_the_ledger_does_not_know_stays(settings: Settings, writer: psycopg.Connection[Row]) -> None:
    stray = settings.archive_dir / "loaded" / OLD / "7-0123456789ab-a.csv"
    stray.parent.mkdir(parents=True)
    stray.write_bytes(CONTENT)
    sealing.seal_archive(settings, writer)
    assert stray.exists()


def test_rejected_files_stay_for_ever(
    settings: Settings, connection: psycopg.Connection[Row], writer: psycopg.Connection[Row]
) -> None:
    _, path = archive(connection, settings, "a.csv", state="rejected")
    sealing.seal_archive(settings, writer)
    assert path.exists()


def test_a_duplicate_goes_when_its_original_is_loaded(
    settings: Settings, connection: psycopg.Connection[Row], writer: psycopg.Connection[Row]
) -> None:
    original, _ = archive(connection, settings, "a.csv", day=datetime.now(UTC).date().isoformat())
    duplicate, path = archive(connection, settings, "b.csv", state="duplicate", duplicate_of=original)
    outcome = sealing.seal_archive(settings, writer)
    assert (path.exists(), outcome.duplicates, sealed(connection)) == (False, 1, [duplicate])


def test_a_duplicate_of_what_is_not_loaded_any_more_stays(
    settings: Settings, connection: psycopg.Connection[Row], writer: psycopg.Connection[Row]
) -> None:
    original, _ = archive(connection, settings, "a.csv")
    _, path = archive(connection, settings, "b.csv", state="duplicate", duplicate_of=original)
    connection.execute("UPDATE ledger.files SET state = 'unloaded' WHERE file_id = %s", [original])
    sealing.seal_archive(settings, writer)
    assert path.exists()


def test_more_files_than_a_page_are_all_sealed_past_a_broken_one(
    settings: Settings,
    connection: psycopg.Connection[Row],
    writer: psycopg.Connection[Row],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sealing, "PAGE", 2)
    ids = [archive(connection, settings, f"{n}.csv", content=b"%d" % n)[0] for n in range(5)]
    connection.execute("DELETE FROM events WHERE file_id = %s", [ids[0]])
    with pytest.raises(UnverifiedError, match="kept 1 "):
        sealing.seal_archive(settings, writer)
    assert sealed(connection) == ids[1:]


# --- batches


def test_only_old_batches_go(
    settings: Settings, connection: psycopg.Connection[Row], writer: psycopg.Connection[Row]
) -> None:
    connection.execute("INSERT INTO ledger.streams (submitted_by, generation, lease_until) VALUES ('test', 2, now())")
    connection.execute(
        "INSERT INTO ledger.batches (epoch, batch, committed_at)"
        " VALUES (1, 1, now() - interval '8 days'), (1, 2, now())"
    )
    assert trimming.trim_batches(settings, writer) == 1
    assert [row["batch"] for row in connection.execute("SELECT batch FROM ledger.batches")] == [2]
    assert count(connection, "ledger.streams") == 1


def test_only_the_newest_recounts_stay(
    connection: psycopg.Connection[Row], writer: psycopg.Connection[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert trimming.trim_recounts(writer) == 0
    monkeypatch.setattr(trimming, "_RECOUNTS", 2)
    connection.execute(
        "INSERT INTO ledger.recounts (begun_at, files, rows, holds, problems)"
        " SELECT now(), number, 0, true, 0 FROM generate_series(1, 5) AS number"
    )
    assert trimming.trim_recounts(writer) == 3
    assert [row["files"] for row in connection.execute("SELECT files FROM ledger.recounts ORDER BY 1")] == [4, 5]


# --- task logs


def _log(folder: Path, name: str, days: float) -> Path:
    """A log file, and the folders above it, last written ``days`` ago."""
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("a line\n")
    moment = time.time() - days * 86_400
    for path in (file, *file.parents):
        if path == folder:
            break
        os.utime(path, (moment, moment))
    return file


def test_old_logs_go_with_their_folders_and_young_ones_stay(tmp_path: Path) -> None:
    old = _log(tmp_path, "dag_id=a/run_id=1/task_id=t/attempt=1.log", 8)
    young = _log(tmp_path, "dag_id=b/run_id=2/task_id=t/attempt=1.log", 6)
    assert trimming.trim_logs(Settings(keep_logs_days=7), tmp_path) == 1
    assert (old.exists(), (tmp_path / "dag_id=a").exists(), young.exists()) == (False, False, True)


def test_a_log_that_is_still_written_to_stays_in_its_old_folder(tmp_path: Path) -> None:
    log = _log(tmp_path, "dag_id=a/run_id=1/task_id=t/attempt=1.log", 8)
    os.utime(log)
    assert trimming.trim_logs(Settings(), tmp_path) == 0
    assert log.exists()


def test_a_folder_just_made_stays_though_it_is_empty(tmp_path: Path) -> None:
    folder = tmp_path / "dag_id=a" / "run_id=1" / "task_id=t"
    folder.mkdir(parents=True)
    trimming.trim_logs(Settings(), tmp_path)
    assert folder.exists()


def test_links_in_the_log_folder_are_removed_but_not_followed(tmp_path: Path) -> None:
    outside = _log(tmp_path / "outside", "file.log", 30)
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "latest").symlink_to(outside.parent)
    os.utime(logs / "latest", (0, 0), follow_symlinks=False)
    trimming.trim_logs(Settings(), logs)
    assert outside.exists()
    assert not (logs / "latest").is_symlink()


def test_no_log_folder_is_no_error(tmp_path: Path) -> None:
    assert trimming.trim_logs(Settings(), tmp_path / "none") == 0


# --- Airflow's metadata


def test_dags_with_an_active_run_older_than_the_age_are_cleaned_only_up_to_the_start_of_the_oldest(
    settings: Settings, connection: psycopg.Connection[Row]
) -> None:
    connection.execute("CREATE TABLE dag_run (dag_id text, state text, start_date timestamptz)")
    connection.execute(
        """
        INSERT INTO dag_run VALUES
            ('stuck', 'running', '2025-01-01'), ('stuck', 'running', '2025-01-03'), ('stuck', 'success', '2024-12-01'),
            ('well', 'success', '2024-12-01'), ('well', 'running', '2025-01-09 23:00+00'), ('new', 'queued', NULL)
        """
    )
    now = datetime(2025, 1, 10, tzinfo=UTC)
    everything, others = airflow_metadata.plan_cleaning(settings, connection, now=now)
    assert (everything.before.date().isoformat(), everything.all_but) == ("2025-01-01", ())
    assert (others.before, others.all_but) == (datetime(2025, 1, 9, tzinfo=UTC), ("stuck",))
    assert "--skip-archive" in others.arguments


def test_one_cleaning_is_enough_when_no_old_run_is_active(
    settings: Settings, connection: psycopg.Connection[Row]
) -> None:
    connection.execute("CREATE TABLE dag_run (dag_id text, state text, start_date timestamptz)")
    (plan,) = airflow_metadata.plan_cleaning(settings, connection)
    assert "--exclude-dag-ids" not in plan.arguments
