"""What Prometheus is told: the figures are those of the ledger, only grow, and cost the same in a long ledger."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sluice.base import database, queries
from sluice.base.settings import Settings
from sluice.cli import main as cli
from sluice.duty import changes, metrics
from sluice.duty.conditions import Condition
from sluice.ledger import leases
from sluice.loading import merge, rejects
from sluice.loading.replay import replay
from sluice.loading.unload import unload_file
from sluice.proof.reconcile import reconcile
from sluice.running import trimming
from sluice.running.instance import Instance
from sluice.watching.reader import Reader
from spark_jobs.keeper import Keeper
from tests.loading import Connection, event, table

Land = Callable[..., int]
Told = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(settings: Settings) -> str:
    reader = Reader(settings)
    try:
        return metrics.exposition(settings, reader).decode()
    finally:
        reader.close()


def told(text: str) -> Told:
    """Every sample by its name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Told, name: str, /, **labels: str) -> float | None:
    return samples.get((f"sluice_{name}", frozenset(labels.items())))


def counters(samples: Told) -> Told:
    endings = ("_total", "_bucket", "_count", "_sum")
    return {key: number for key, number in samples.items() if key[0].endswith(endings)}


def test_files_and_rows_are_counted_by_contract_and_rejects_by_rule(own_contracts: Settings, load: Land) -> None:
    load(table(event(1), event(2), event(3, kind="teleport"), event(4, price="x"), event(1)), "a.csv")
    load(table(event(5)), "b.csv")
    load("a,b\n1,2\n", "c.csv")
    now = told(scrape(own_contracts))
    assert value(now, "files_total", contract="events", state="loaded") == 2
    assert value(now, "files_total", contract="unknown", state="rejected") == 1
    outcomes = {"loaded": 3, "rejected": 2, "duplicate": 1}
    for outcome, rows in outcomes.items():
        assert value(now, "rows_total", contract="events", outcome=outcome) == rows
    by_rule = {dict(labels)["rule"]: number for (name, labels), number in now.items() if name == "sluice_rejects_total"}
    assert sum(by_rule.values()) == 2
    assert {rule.partition(".")[0] for rule in by_rule} == {"event_type", "price"}
    assert value(now, "landed_to_queryable_seconds_count", contract="events") == 2
    assert value(now, "landed_to_queryable_seconds_bucket", contract="events", le="+Inf") == 2
    assert (value(now, "landed_to_queryable_seconds_sum", contract="events") or 0) > 0


def test_no_counter_goes_down_when_rows_are_taken_back_and_brought_back(
    own_contracts: Settings, load: Land, connection: Connection
) -> None:
    first = load(table(event(1), event(2, kind="teleport")), "a.csv")
    load(table(event(1), event(3)), "b.csv")
    before = counters(told(scrape(own_contracts)))
    unload_file(own_contracts, first, "wrong", by_whom="a test")
    after = counters(told(scrape(own_contracts)))
    assert all(after[key] >= number for key, number in before.items())
    assert value(after, "rows_total", contract="events", outcome="withdrawn") == 1
    assert value(after, "files_total", contract="events", state="unloaded") == 1
    # The row that the second file had as well is its own now.
    assert value(after, "rows_total", contract="events", outcome="loaded") == 3


def test_summing_up_changes_no_figure_and_leaves_a_row_a_count(
    own_contracts: Settings, load: Land, connection: Connection
) -> None:
    for number in range(5):
        load(table(event(number)), f"{number}.csv")
    before = counters(told(scrape(own_contracts)))
    with database.connect(own_contracts.writer_dsn) as writer:
        left = queries.run(writer, "ledger/counts.sum_up")
    assert counters(told(scrape(own_contracts))) == before
    rows = connection.execute(
        "SELECT count(*) AS rows, count(DISTINCT (contract, what, label)) AS counts FROM ledger.counts"
    )
    assert rows.fetchone() == {"rows": left, "counts": left}


def test_a_living_stream_and_housekeeping_sum_up(
    own_contracts: Settings, load: Land, connection: Connection, epoch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = "SELECT count(*) AS rows, count(DISTINCT (contract, what, label)) AS counts FROM ledger.counts"

    def are_summed_up() -> bool:
        rows = connection.execute(counts).fetchone()
        assert rows is not None
        return bool(rows["rows"] == rows["counts"])

    def load_two(first: int) -> None:
        for number in (first, first + 1):
            load(table(event(number)), f"{number}.csv")
        assert not are_summed_up()

    load_two(1)
    with database.connect(own_contracts.writer_dsn) as writer:
        assert trimming.sum_up_counts(writer) > 3
    assert are_summed_up()
    load_two(3)
    monkeypatch.setattr("spark_jobs.keeper._SUM_UP_SECONDS", 0.0)
    keeper = Keeper(own_contracts.writer_dsn, epoch, lease_seconds=1, life_seconds=600, submitter=None)
    keeper.start()
    try:
        deadline = time.monotonic() + 60
        while not are_summed_up():
            assert time.monotonic() < deadline
    finally:
        keeper.close(leases.EndedHow.ASKED)


def test_two_that_sum_up_at_once_lose_and_double_nothing(
    own_contracts: Settings, load: Land, connection: Connection
) -> None:
    load(table(event(1)), "a.csv")
    before = counters(told(scrape(own_contracts)))
    dsn = own_contracts.writer_dsn
    with database.connect(dsn) as one, database.connect(dsn) as other:
        with one.transaction():
            queries.run(one, "ledger/counts.sum_up")
            second = threading.Thread(target=queries.run, args=[other, "ledger/counts.sum_up"])
            second.start()
            while connection.execute("SELECT FROM pg_locks WHERE NOT granted").fetchone() is None:
                assert second.is_alive()
            load(table(event(2)), "b.csv")  # it waits for neither
            now = counters(told(scrape(own_contracts)))
            assert all(now[key] >= number for key, number in before.items())
        second.join()
    assert value(told(scrape(own_contracts)), "files_total", contract="events", state="loaded") == 2


def test_of_a_wide_contract_rejects_are_counted_by_the_kind_of_rule(
    own_contracts: Settings, load: Land, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rejects, "COUNTED_BY_COLUMN_MAX", 3)
    load(table(event(1), event(2, price="x"), event(3, kind="teleport")), "a.csv")
    rules = {dict(labels)["rule"] for name, labels in told(scrape(own_contracts)) if name == "sluice_rejects_total"}
    assert len(rules) == 2
    assert not any("." in rule for rule in rules)


def test_labels_are_escaped_and_have_an_end(settings: Settings, connection: Connection) -> None:
    nasty = 'a"b\\c\nsluice_forged 1\n' + "x" * 500
    connection.execute(
        "INSERT INTO ledger.counts (contract, what, label, amount) "
        "VALUES (%(name)s, 'files', 'loaded', 1), (%(name)s || 'y', 'files', 'loaded', 2), "
        "('e', 'rejects', %(name)s, 1)",
        {"name": nasty},
    )
    text = scrape(settings)
    assert "\nsluice_forged" not in text
    files = {labels: number for (name, labels), number in told(text).items() if name == "sluice_files_total"}
    assert list(files.values()) == [3], "two names that are one label are one series, or Prometheus takes none"
    assert all(len(label) <= 121 for labels in files for _, label in labels)


def test_the_backlog_the_stream_and_the_recount_are_told(
    own_contracts: Settings, connection: Connection, load: Land, land: Land
) -> None:
    assert reconcile(own_contracts, own_contracts.reader_dsn).holds
    land(table(event(9)), "waits.csv")
    (own_contracts.incoming_dir / "new.csv").write_text(table(event(10)))
    now = told(scrape(own_contracts))
    assert value(now, "backlog_files", place="landed") == 1
    assert value(now, "backlog_files", place="incoming") == 1
    assert (value(now, "backlog_bytes", place="landed") or 0) > 100
    assert (value(now, "backlog_oldest_seconds", place="landed") or 0) > 0
    assert value(now, "stream_alive") == 1
    assert 590 < (value(now, "stream_lease_seconds") or 0) <= 600
    assert value(now, "stream_epoch") == 1
    assert value(now, "recount_holds") == 1
    assert (value(now, "recount_timestamp_seconds") or 0) > 1e9
    assert (value(now, "disk_free_bytes", folder="state_folder") or 0) > 0
    leases.end(connection, epoch=1, how=leases.EndedHow.ASKED)
    now = told(scrape(own_contracts))
    assert (value(now, "stream_alive"), value(now, "stream_lease_seconds")) == (0, 0)


def test_the_phases_of_the_newest_micro_batch_are_told_by_lane(
    settings: Settings, connection: Connection, epoch: int
) -> None:
    connection.execute(
        "INSERT INTO ledger.batches (epoch, lane, batch, duration_ms, durations) VALUES "
        """(%(epoch)s, 'small', 1, 9000, '{"addBatch": 9000}'), (%(epoch)s, 'small', 2, 500, '{"addBatch": 400, """
        """"walCommit": 60, "commitOffsets": 40}'), (%(epoch)s, 'small', 3, NULL, NULL)""",
        {"epoch": epoch},
    )
    now = told(scrape(settings))
    assert value(now, "batch_seconds", lane="small") == 0.5
    assert value(now, "batch_phase_seconds", lane="small", phase="load") == 0.4
    assert value(now, "batch_phase_seconds", lane="small", phase="checkpoint") == pytest.approx(0.1)


def test_of_a_database_that_is_away_it_is_told_that_it_is(settings: Settings) -> None:
    away = replace(settings, reader_url="postgresql://nobody@127.0.0.1:1/none")
    now = told(scrape(away))
    assert value(now, "database_up") == 0
    assert value(now, "disk_free_bytes", folder="state_folder")
    assert value(now, "stream_alive") is None, "what is not known is not told"
    assert value(told(scrape(settings)), "database_up") == 1


def test_a_question_that_takes_too_long_is_given_up(settings: Settings, connection: Connection) -> None:
    with connection.transaction():
        connection.execute("LOCK TABLE ledger.counts IN ACCESS EXCLUSIVE MODE")
        assert value(told(scrape(settings)), "database_up") == 0
    assert value(told(scrape(settings)), "database_up") == 1


def test_conditions_are_told(settings: Settings, connection: Connection) -> None:
    now = datetime.now(UTC)
    changes.note(connection, [Condition("feed", "orders", "late", now)], now)
    assert value(told(scrape(settings)), "condition", kind="feed", name="orders", state="late") == 1


@pytest.mark.skipif(not shutil.which("promtool"), reason="there is no promtool here: Debian's prometheus has it")
def test_promtool_finds_nothing_to_say_of_the_names(own_contracts: Settings, load: Land) -> None:
    load(table(event(1), event(2, kind="teleport")), "a.csv")
    assert reconcile(own_contracts, own_contracts.reader_dsn).holds
    done = subprocess.run(["promtool", "check", "metrics"], input=scrape(own_contracts), capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_command_line_prints_the_same(
    running: Instance, capfdbinary: pytest.CaptureFixture[bytes], connection: Connection
) -> None:
    assert cli.main(["metrics"]) == 0
    printed = told(capfdbinary.readouterr().out.decode())
    assert printed.keys() == told(scrape(running.settings)).keys()
    assert value(printed, "database_up") == 1


def test_the_command_line_tells_of_a_pipeline_that_does_not_run(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    for name in ("DATABASE_URL", "WRITER_URL", "READER_URL"):
        monkeypatch.delenv(f"SLUICE_{name}")
    assert cli.main(["metrics"]) == 0
    assert value(told(capfdbinary.readouterr().out.decode()), "database_up") == 0


def test_a_row_that_the_merge_sets_aside_is_counted_as_a_conflict(own_contracts: Settings, load: Land) -> None:
    load(table(event(1)), "november.csv")
    load(table(event(1, price="1.00").replace("2026-11-22", "2026-10-22")), "october.csv")
    before: dict[str, Any] = counters(told(scrape(own_contracts)))
    merged = merge.merge(own_contracts)
    assert merged is not None
    assert merged.conflicts == 1
    after = counters(told(scrape(own_contracts)))
    assert value(after, "rejects_total", contract="events", rule="event_id.conflict") == 1
    assert value(after, "rows_total", contract="events", outcome="rejected") == 1
    assert all(after[key] >= number for key, number in before.items())


def test_rows_that_a_replay_brings_are_counted_when_they_come(
    own_contracts: Settings, load: Land, connection: Connection
) -> None:
    file_id = load(table(event(1), event(2, kind="teleport")), "a.csv")
    connection.execute(
        """UPDATE ledger.rejects SET fields = fields || '{"event_type": "product_view"}' WHERE file_id = %s""",
        [file_id],
    )
    assert replay(own_contracts).loaded == 1
    after = told(scrape(own_contracts))
    assert value(after, "rows_total", contract="events", outcome="loaded") == 2
    assert value(after, "rows_total", contract="events", outcome="rejected") == 1, "it was rejected once"
