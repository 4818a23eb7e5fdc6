"""What lands from the generator: shop events that hang together, as much dirt as asked for, whole files only."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from sluice.base.settings import PROJECT, SettingError, Settings
from sluice.generator import files, records
from sluice.generator.__main__ import main
from sluice.generator.files import land_batch, write_file
from sluice.generator.records import DIRT, HEADER, Shares
from sluice.generator.traffic import Events, visits
from sluice.landing.land import Landed, land

NOW = datetime(2026, 11, 22, 18, 42, 4, 123_000, tzinfo=UTC)
FUNNEL = ("product_view", "add_to_cart", "purchase")
TYPES = {"search", "product_view", "wishlist_add", "add_to_cart", "remove_from_cart", "purchase"}
Row = dict[str, str]


def make(tmp_path: Path, **values: object) -> Settings:
    """Settings of a fresh home; clean batches of exactly the rows asked for, unless said otherwise."""
    clean = {
        "home": str(tmp_path / "home"),
        "generate_dirty_share": 0.0,
        "generate_late_share": 0.0,
        "generate_repeat_share": 0.0,
    }
    return Settings(**{**clean, **values})  # type: ignore[arg-type]


def read(path: Path) -> list[Row]:
    """The rows of a clean file, by a strict reader."""
    text = path.read_bytes().decode("utf-8")
    header, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    assert ",".join(header) == HEADER
    assert {len(row) for row in rows} <= {len(header)}
    return [dict(zip(header, row, strict=True)) for row in rows]


def when(row: Row) -> datetime:
    assert row["timestamp"].endswith("Z")
    assert len(row["timestamp"]) == len("2026-11-22T18:42:04.123Z")
    return datetime.fromisoformat(row["timestamp"])


def by_session(rows: list[Row]) -> list[list[Row]]:
    sessions = defaultdict(list)
    for row in rows:
        sessions[row["session_id"]].append(row)
    return list(sessions.values())


def faults(line: bytes) -> set[str]:
    """The rules of a shop event that a line of a file breaks, judged by hand, without the generator's help."""
    try:
        (fields,) = csv.reader([line.decode("utf-8")], strict=True)
    except UnicodeDecodeError:
        return {"invalid_utf8"}
    if len(fields) != len(HEADER.split(",")):
        return {"field_missing" if len(fields) < len(HEADER.split(",")) else "field_too_many"}
    row = dict(zip(HEADER.split(","), fields, strict=True))
    return {name for name, broken in _JUDGE.items() if broken(row)}


def _no_time(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is None
    except ValueError:
        return True


def _no_money(text: str) -> bool:
    return text != "" and not (text.replace(".", "", 1).isdigit() and len(text.rpartition(".")[2]) == 2)


_JUDGE: dict[str, Callable[[Row], bool]] = {
    "missing_event_id": lambda row: row["event_id"] == "",
    "unknown_event_type": lambda row: row["event_type"] not in TYPES,
    "bad_timestamp": lambda row: _no_time(row["timestamp"]),
    "price_with_comma": lambda row: "," in row["price"],
    "price_in_words": lambda row: "," not in row["price"] and _no_money(row["price"]),
    "negative_quantity": lambda row: row["quantity"].startswith("-"),
}


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    """20,000 clean events of the day before NOW."""
    path = tmp_path_factory.mktemp("generator") / "day.csv"
    write_file(path, rows=20_000, seed="a day", now=NOW)
    return read(path)


def test_the_header_is_the_contracts(tmp_path: Path) -> None:
    path = land_batch(make(tmp_path), now=NOW, rows=3).path
    assert path.read_bytes().split(b"\n")[0].decode() == (
        "event_id,event_type,user_id,product_id,category,price,timestamp,session_id,ip_address,user_agent,"
        "search_query,search_results_count,quantity,total_amount,payment_method"
    )


def test_a_session_is_of_one_user_and_one_device(rows: list[Row]) -> None:
    sessions = by_session(rows)
    assert len(sessions) > 2_000
    for session in sessions:
        assert len({(row["user_id"], row["ip_address"], row["user_agent"]) for row in session}) == 1


def test_events_of_a_session_stand_in_the_order_of_the_funnel(rows: list[Row]) -> None:
    for session in by_session(rows):
        times = [when(row) for row in session]
        assert times == sorted(set(times)), "increasing, and no two at once"
        done: Counter[tuple[str, str]] = Counter()
        for row in session:
            step, product = row["event_type"], row["product_id"]
            if step in ("wishlist_add", "add_to_cart"):
                assert done["product_view", product] > 0
            if step == "remove_from_cart":
                assert done["add_to_cart", product] > done["remove_from_cart", product]
            if step == "purchase":
                in_cart = done["add_to_cart", product] - done["remove_from_cart", product]
                assert in_cart > done["purchase", product], "bought is what was put in the cart and left there"
            else:
                assert not any(kind == "purchase" for kind, _ in done), "purchases end a session"
            done[step, product] += 1


def test_fewer_carts_than_views_and_fewer_purchases_than_carts(rows: list[Row]) -> None:
    counts = Counter(row["event_type"] for row in rows)
    assert set(counts) == TYPES
    views, carts, purchases = (counts[step] for step in FUNNEL)
    assert views > 2 * carts > 4 * purchases > 0


def test_a_field_is_filled_only_where_the_event_has_it(rows: list[Row]) -> None:
    for row in rows:
        search, purchase = row["event_type"] == "search", row["event_type"] == "purchase"
        has_quantity = row["event_type"] in ("add_to_cart", "remove_from_cart", "purchase")
        assert bool(row["search_query"]) == bool(row["search_results_count"]) == search
        assert bool(row["product_id"]) == bool(row["category"]) == bool(row["price"]) != search
        assert bool(row["quantity"]) == has_quantity
        assert bool(row["total_amount"]) == bool(row["payment_method"]) == purchase
        if purchase:
            assert Decimal(row["total_amount"]) == Decimal(row["price"]) * int(row["quantity"])


def test_a_product_keeps_its_price_and_category(rows: list[Row]) -> None:
    known = {row["product_id"]: (row["category"], row["price"]) for row in rows if row["product_id"]}
    assert all(known[row["product_id"]] == (row["category"], row["price"]) for row in rows if row["product_id"])
    assert all(Decimal("0.48") < Decimal(price) < 10_000 and price[-3] == "." for _, price in known.values())


def test_some_products_are_popular_and_most_are_not(rows: list[Row]) -> None:
    counts = Counter(row["product_id"] for row in rows if row["event_type"] == "product_view")
    ranked = [count for _, count in counts.most_common()]
    assert sum(ranked[: len(ranked) // 10]) > 0.4 * sum(ranked)
    assert ranked[0] > 20 * ranked[len(ranked) // 2]


def test_five_to_ten_percent_of_searches_find_nothing(rows: list[Row]) -> None:
    results = [int(row["search_results_count"]) for row in rows if row["event_type"] == "search"]
    assert 0.05 < results.count(0) / len(results) < 0.10


def test_evenings_are_busier_than_nights(rows: list[Row]) -> None:
    hours = Counter(when(row).hour for row in rows)
    assert sum(hours[hour] for hour in (19, 20, 21)) > 4 * sum(hours[hour] for hour in (2, 3, 4))


def test_a_batch_in_the_evening_is_bigger_than_one_at_night(tmp_path: Path) -> None:
    night, evening = (land_batch(make(tmp_path), now=NOW.replace(hour=hour)).rows for hour in (3, 20))
    assert (night, evening) == (200, 1960)


def test_a_day_of_batches_has_the_mean_that_was_set(tmp_path: Path) -> None:
    batches = [land_batch(make(tmp_path), now=NOW.replace(hour=hour)).rows for hour in range(24)]
    assert sum(batches) == pytest.approx(24 * 1000, rel=0.01)


def test_without_rhythm_every_batch_has_the_rows_that_were_set(tmp_path: Path) -> None:
    settings = make(tmp_path, generate_rhythm=False, generate_rows=321)
    assert {land_batch(settings, now=NOW.replace(hour=hour)).rows for hour in (3, 20)} == {321}


def test_quoting_is_used_where_it_is_needed(rows: list[Row]) -> None:
    texts = {row["search_query"] for row in rows} | {row["user_agent"] for row in rows}
    for sign in (",", '"', "\n", "é", "日", "🌶"):
        assert any(sign in text for text in texts), sign


def test_event_ids_are_uuids_and_unique_across_batches(tmp_path: Path) -> None:
    settings = make(tmp_path, generate_seed="fixed")
    batches = [land_batch(settings, now=NOW + timedelta(seconds=second)).path for second in range(3)]
    ids = [row["event_id"] for path in batches for row in read(path)]
    assert len(set(ids)) == len(ids)
    assert all(len(text) == 36 and text[14] == "4" and text[19] in "89ab" for text in ids)


def test_fresh_sessions_ended_within_the_interval_before_now(tmp_path: Path) -> None:
    path = land_batch(make(tmp_path, generate_every_seconds=60.0), now=NOW, rows=2_000).path
    ends = [max(when(row) for row in session) for session in by_session(read(path))]
    assert all(NOW - timedelta(seconds=60) <= end <= NOW for end in ends)


def test_late_events_are_hours_to_days_old_and_as_many_as_asked_for(tmp_path: Path) -> None:
    manifest = land_batch(make(tmp_path, generate_late_share=0.125), now=NOW, rows=2_000)
    ages = [NOW - max(when(row) for row in session) for session in by_session(read(manifest.path)) for _ in session]
    late = [age for age in ages if age > timedelta(hours=1)]
    assert manifest.late == len(late) == 250
    assert all(timedelta(hours=2) <= age <= timedelta(days=4) for age in late)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.0375, 0.5, 1.0])
def test_dirty_rows_are_as_many_as_asked_for_and_each_breaks_the_rule_of_its_kind(tmp_path: Path, share: float) -> None:
    manifest = land_batch(make(tmp_path, generate_dirty_share=share), now=NOW, rows=4_000, seed="dirt")
    found = Counter(fault for line in single_lines(manifest.path) for fault in faults(line))
    assert manifest.dirty == round(4_000 * share)
    assert found == manifest.dirty_by_kind
    assert set(found) == (set(DIRT) if share else set())


def single_lines(path: Path) -> list[bytes]:
    """The records that stand on one line; the others start or end within a quoted phrase, and are never dirty."""
    lines = path.read_bytes().split(b"\n")[1:-1]
    whole, open_quote = [], False
    for line in lines:
        odd = line.count(b'"') % 2 == 1
        if not odd and not open_quote:
            whole.append(line)
        open_quote ^= odd
    assert not open_quote
    return whole


def test_a_repeated_row_is_an_exact_copy(tmp_path: Path) -> None:
    manifest = land_batch(make(tmp_path, generate_repeat_share=0.1), now=NOW, rows=2_000)
    rows = [tuple(row.values()) for row in read(manifest.path)]
    assert manifest.repeated == 200
    assert len(rows) == 2_000
    assert len(set(rows)) == len({row[0] for row in rows}) == 1_800


def test_half_of_the_repeated_rows_are_of_the_batch_before(tmp_path: Path) -> None:
    settings = make(tmp_path, generate_repeat_share=0.1)
    first, second = (land_batch(settings, now=NOW + timedelta(seconds=gap), rows=2_000) for gap in (0, 5))
    earlier = {tuple(row.values()) for row in read(first.path)}
    later = [tuple(row.values()) for row in read(second.path)]
    assert sum(row in earlier for row in later) == 100
    assert len(later) - len(set(later)) == 100
    assert len({row[0] for row in later} | {row[0] for row in earlier}) == len(set(later) | earlier)


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe\x00 no rows\n,,,,\n"])
def test_a_lost_or_broken_memory_of_the_last_batch_is_no_error(tmp_path: Path, content: bytes | None) -> None:
    settings = make(tmp_path, generate_repeat_share=0.1)
    if content is not None:
        (settings.home_dir / "run").mkdir(parents=True)
        (settings.home_dir / "run" / files.TAIL_FILE).write_bytes(content)
    assert len(read(land_batch(settings, now=NOW, rows=500).path)) == 500


def test_nothing_is_repeated_where_nothing_is_there_to_repeat(tmp_path: Path) -> None:
    settings = make(tmp_path, generate_repeat_share=1.0)
    first, second = (land_batch(settings, now=NOW + timedelta(seconds=gap), rows=100) for gap in (0, 5))
    assert (first.repeated, second.repeated) == (0, 100)
    assert {row["event_id"] for row in read(second.path)} <= {row["event_id"] for row in read(first.path)}


def test_shares_of_more_than_all_rows_are_refused(tmp_path: Path) -> None:
    settings = make(tmp_path, generate_dirty_share=0.7, generate_late_share=0.4)
    with pytest.raises(SettingError, match=r"dirty \(0.7\), late \(0.4\).*lower SLUICE_GENERATE_DIRTY_SHARE"):
        land_batch(settings, now=NOW)
    assert not settings.incoming_dir.exists()


def test_same_seed_and_same_time_make_the_same_bytes(tmp_path: Path) -> None:
    shares = {"generate_dirty_share": 0.05, "generate_late_share": 0.05, "generate_repeat_share": 0.05}
    one, other = (make(tmp_path / name, generate_seed="s", **shares) for name in ("one", "other"))
    for second in range(3):
        moment = NOW + timedelta(seconds=second)
        assert land_batch(one, now=moment).path.read_bytes() == land_batch(other, now=moment).path.read_bytes()


def test_another_process_makes_the_same_bytes(tmp_path: Path) -> None:
    here = write_file(tmp_path / "here.csv", rows=500, seed="s", now=NOW, shares=Shares(0.1, 0.1, 0.1)).path
    there = tmp_path / "there.csv"
    command = [sys.executable, "-m", "sluice.generator", "--rows", "500", "--out", str(there), "--seed", "s"]
    command += ["--now", NOW.isoformat(), "--dirty", "0.1", "--late", "0.1", "--repeat", "0.1"]
    subprocess.run(command, check=True, cwd=PROJECT, env={**os.environ, "PYTHONHASHSEED": "7"}, capture_output=True)
    assert there.read_bytes() == here.read_bytes()


def test_another_seed_another_time_or_no_seed_make_other_bytes(tmp_path: Path) -> None:
    batches = [
        land_batch(make(tmp_path), now=moment, seed=seed, rows=50).path.read_bytes()
        for moment, seed in [(NOW, "a"), (NOW, "b"), (NOW + timedelta(milliseconds=1), "a"), (NOW, ""), (NOW, "")]
    ]
    assert len(set(batches)) == len(batches)


def test_a_batch_lands_as_every_file_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    landed = []

    def watched(settings: Settings, name: str, blocks: Iterator[bytes]) -> Landed:
        landed.append(land(settings, name, blocks))
        return landed[-1]

    monkeypatch.setattr(files, "land", watched)
    manifest = land_batch(make(tmp_path), now=NOW)
    assert [done.path for done in landed] == [manifest.path]


def test_a_batch_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    settings = make(tmp_path)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        land_batch(settings, now=NOW)
    assert list(settings.incoming_dir.iterdir()) == []


def test_names_never_collide_not_even_in_the_same_instant(tmp_path: Path) -> None:
    settings = make(tmp_path)
    paths = [land_batch(settings, now=NOW, seed="same", rows=2).path for _ in range(50)]
    assert len({path.name for path in paths}) == len(list(settings.incoming_dir.glob("*.csv"))) == 50
    assert all(path.name.startswith("events-20261122T184204123Z-") for path in paths)


def test_100_000_rows_are_one_vectorised_chunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []

    def counted(*arguments: Any, **named: Any) -> Events:
        drawn.append(visits(*arguments, **named))
        return drawn[-1]

    monkeypatch.setattr("sluice.generator.records.visits", counted)
    assert land_batch(make(tmp_path), now=NOW, rows=100_000).rows == 100_000
    assert [len(events) for events in drawn] == [100_000, 0], "the fresh ones at once, and no late ones"


def test_a_file_of_several_chunks_keeps_shares_and_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "CHUNK_ROWS", 333)
    manifest = write_file(tmp_path / "x.csv", rows=1_000, now=NOW, shares=Shares(late=0.015, repeated=0.015))
    content = read(manifest.path)
    assert (len(content), manifest.rows, manifest.late, manifest.repeated) == (1_000, 1_000, 15, 15)
    fresh = write_file(tmp_path / "y.csv", rows=1_000, now=NOW)
    firsts = [min(when(row) for row in session) for session in by_session(read(fresh.path))]
    assert firsts[0] < NOW - timedelta(hours=20)
    assert firsts[-1] > NOW - timedelta(hours=4)


def test_dirt_of_several_chunks_adds_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "CHUNK_ROWS", 333)
    manifest = write_file(tmp_path / "x.csv", rows=1_000, now=NOW, shares=Shares(dirty=0.045))
    assert sorted(manifest.dirty_by_kind.values()) == [5] * 9
    assert Counter(fault for line in single_lines(manifest.path) for fault in faults(line)) == manifest.dirty_by_kind


def test_a_batch_is_made_without_pandas(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from sluice.generator.files import write_file; "
        "from sluice.generator.records import Shares; "
        f"write_file(Path({str(tmp_path / 'x.csv')!r}), rows=500, shares=Shares(0.1, 0.1, 0.1)); "
        "sys.exit('pandas' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=PROJECT, check=False).returncode == 0


def test_the_command_says_what_it_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "x.csv"
    assert main(["--rows", "200", "--out", str(out), "--dirty", "0.1"]) == 0
    assert capsys.readouterr().out.startswith("x.csv: 200 rows, 20 dirty, 0 late, 0 repeated, ")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--rows", "2", "--out", "{tmp}/x.csv", "--dirty", "2"], 2, "must each be 0 or more"),
        (["--rows", "2", "--out", "{tmp}/file/x.csv"], 1, "cannot be written"),
    ],
)
def test_the_command_says_why_it_failed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, says: str
) -> None:
    (tmp_path / "file").write_text("in the way")
    assert main([argument.replace("{tmp}", str(tmp_path)) for argument in arguments]) == code
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--rows", "-1"], ["--now", "2026-11-22T18:00:00"], ["--span-hours", "0"]])
def test_arguments_without_sense_are_refused(tmp_path: Path, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--rows", "1", "--out", str(tmp_path / "x.csv"), *arguments])
    assert ended.value.code == 2
