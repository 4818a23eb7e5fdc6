"""The page of the reports, part by part: texts, numbers, scales, pictures, the cells of a CSV file, the folder."""

from __future__ import annotations

import csv
import io
import os
import resource
import stat
import time
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from sluice.base.settings import Settings
from sluice.reports.html import figures, keeping, lists, pictures, spreadsheets
from sluice.reports.html.charts import Bar, Plot, Series, Table, bars, heat_step, plot
from sluice.reports.html.folder import Folder, FolderError, opened
from sluice.reports.html.scales import scale
from sluice.reports.html.sections import CSV_FILES, SALES, SHOP, VISITS
from sluice.reports.html.spans import Span
from sluice.reports.html.text import shortened, visible

HUGE = Decimal(10) ** 400
QUARTERS = [0, Decimal("0.25"), Decimal("0.5"), Decimal("0.75"), 1]
NOON = datetime.fromisoformat("2026-11-30T12:34:56")  # of the shop's zone
SPAN = Span.up_to(NOON, "Europe/Berlin", "2026-11-30")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=str(tmp_path))


# --- texts


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("a\tb\r\n\x1b[31m\x7f", "a␉b␍␊␛[31m␡"),
        ("\x85 \x9b", "\\u0085 \\u009b"),
        ("line\u2028paragraph\u2029", "line\\u2028paragraph\\u2029"),
        ("turned \u202eround\u202c, \u2066isolated\u2069", "turned \\u202eround\\u202c, \\u2066isolated\\u2069"),
        ("عربي\u200f, קידוד, 🧦, é", "عربي\u200f, קידוד, 🧦, é"),
    ],
)
def test_what_cannot_be_seen_is_shown_by_a_sign(text: str, seen: str) -> None:
    assert visible(text) == seen


def test_a_long_text_ends_in_an_ellipsis_and_is_no_longer_than_it_may_be() -> None:
    assert shortened("x" * 1_000_000, 80) == "x" * 79 + "…"
    assert shortened("x" * 80, 80) == "x" * 80


# --- numbers


@pytest.mark.parametrize(
    ("number", "written"),
    [
        (None, "–"),
        (0, "0.00"),
        (Decimal("-0.001"), "0.00"),
        (Decimal("-1234.5"), "−1,234.50"),
        (Decimal("999999999999999.99"), "999,999,999,999,999.99"),
        (2**63 * 1000, "9.22e21"),
        (-HUGE, "−1e400"),
        (Decimal("NaN"), "NaN"),
        (Decimal("Infinity"), "∞"),
        (Decimal("-Infinity"), "−∞"),
    ],
)
def test_an_amount_of_any_size_is_written(number: Any, written: str) -> None:
    assert figures.money(number) == written


@pytest.mark.parametrize(
    ("number", "written"),
    [(0, "0"), (Decimal("0.25"), "0.25"), (999, "999"), (12_500, "12.5k"), (-2_000_000, "−2M"), (HUGE, "1e400")],
)
def test_a_tick_is_short(number: Any, written: str) -> None:
    assert figures.short(number) == written


def test_a_change_is_told_only_against_something() -> None:
    assert figures.change(150, 100) == Decimal("0.5")
    assert figures.change(150, 0) is None
    assert figures.change(150, -100) is None
    assert figures.change(Decimal("NaN"), 100) is None


# --- scales and pictures


@pytest.mark.parametrize(
    ("numbers", "ticks"),
    [
        ([], QUARTERS),
        ([0, 0], QUARTERS),
        ([None, Decimal("NaN"), Decimal("Infinity")], QUARTERS),
        ([7, 31], [0, 10, 20, 30, 40]),
        ([-7, 31], [-10, 0, 10, 20, 30, 40]),
        ([HUGE], [0, HUGE / 4, HUGE / 2, HUGE * 3 / 4, HUGE]),
    ],
)
def test_an_axis_has_few_round_ticks_and_nothing_is_beyond_them(numbers: list[Any], ticks: list[Any]) -> None:
    assert list(scale(numbers).ticks) == ticks


def test_counts_have_no_tick_between_two_of_them() -> None:
    assert scale([1], whole=True).ticks == (0, 1)
    assert all(tick == int(tick) for tick in scale([3], whole=True).ticks)


def drawn(*numbers: Any, line: bool = False) -> Plot:
    series = [Series("", "first", numbers)]
    names = [str(place) for place in range(len(numbers))]
    return plot("Numbers", names, [(0, "0")], **({"lines": series} if line else {"stack": series}))


def test_a_column_below_zero_hangs_from_the_axis() -> None:
    up, down = (place.columns[0] for place in drawn(10, -10).places)
    assert up.y + up.height == pytest.approx(drawn(10, -10).zero) == pytest.approx(down.y)
    assert (up.height, down.height) == (84, 84)


def test_a_line_has_a_gap_where_there_is_no_number() -> None:
    line = drawn(1, 2, None, 3, Decimal("NaN"), 4, 5, line=True).lines[0]
    assert len(line.stretches) == 2
    assert len(line.dots) == 5


def test_bars_share_one_scale_and_start_where_zero_is() -> None:
    assert bars([3, -1, 0, None, Decimal("NaN")]) == [Bar(25, 75), Bar(0, 25, True), Bar(25, 0), None, None]
    assert bars([0, 0]) == [Bar(0, 0), Bar(0, 0)]
    assert bars([HUGE, HUGE / 2]) == [Bar(0, 100), Bar(0, 50)]


def test_whatever_is_more_than_nothing_has_some_heat() -> None:
    assert [heat_step(number, 1000) for number in (-5, 0, 1, 500, 1000, None)] == [0, 0, 1, 3, 6, 0]


@pytest.mark.parametrize("part", [SHOP, *SALES, *VISITS], ids=lambda part: part.name)
def test_a_part_without_rows_says_what_to_do(part: Any) -> None:
    assert part.draw([], SPAN, "EUR") is None
    assert part.empty.endswith((".", "…"))
    assert part.csv in CSV_FILES


def test_days_without_a_sale_are_columns_of_nothing_and_each_day_is_there() -> None:
    chart = pictures.shop_by_day([{"day": "2026-11-29", "revenue": Decimal(5), "orders": 1}], SPAN, "EUR")
    assert isinstance(chart, Plot)
    assert len(chart.places) == 29
    assert [len(place.columns) for place in chart.places[-2:]] == [1, 0]
    assert chart.places[-2].title == "Sun 2026-11-29: 5.00 EUR, 1 order; 28 days before: –"


def test_the_two_hours_of_a_clock_that_is_set_back_are_one() -> None:
    row = {"hour": "2026-11-30 02", "purchases": 1, "revenue": Decimal(2)}
    chart = pictures.revenue_by_hour([row, row], SPAN, "EUR")
    assert isinstance(chart, Plot)
    assert [place.title for place in chart.places if place.columns] == ["Mon 2026-11-30, 02:00: 4.00 EUR, 2 purchases"]


def test_a_name_of_ours_is_told_from_the_same_name_in_a_feed() -> None:
    given = {"purchases": 1, "revenue": 1, "others": False}
    rows = [given | {"payment_method": text} for text in ("none given", None, "")]
    chart = lists.payment_methods(rows, SPAN, "")
    assert isinstance(chart, Table)
    assert [(items[0].text, items[0].is_ours) for items, _ in chart.rows] == [
        ("none given", False),
        ("none given", True),
        ("empty", True),
    ]


# --- which days


def test_a_series_ends_today_unless_the_last_sale_is_long_ago() -> None:
    assert Span.up_to(NOON, "UTC", None).end == date(2026, 11, 30)
    assert Span.up_to(NOON, "UTC", "2026-11-02").end == date(2026, 11, 30)
    old = Span.up_to(NOON, "UTC", "2026-11-01")
    assert (old.end, old.is_old, str(old.hours[-1])) == (date(2026, 11, 1), True, "2026-11-01 23:00:00")
    assert (len(SPAN.days), len(SPAN.hours), str(SPAN.hours[-1])) == (29, 48, "2026-11-30 12:00:00")


# --- cells of a CSV file


@pytest.mark.parametrize("sign", list("=+-@\t\r\n＝＋－＠﹢﹣﹦﹫⁼⁺"))
def test_no_text_begins_as_a_formula_does(sign: str) -> None:
    assert spreadsheets.cell(f"{sign}1+1").startswith("'")


@pytest.mark.parametrize("sign", list("=+-@＝＋－＠"))
def test_no_text_begins_as_a_formula_does_when_a_spreadsheet_has_trimmed_it(sign: str) -> None:
    assert spreadsheets.cell(f" \u00a0\u200b\ufeff{sign}1+1").startswith("'")


@pytest.mark.parametrize("text", ["a;=1+1", "a\t@SUM(1)", "a\r\n-1", "a; +1", 'x";=1'])
def test_no_text_has_a_cell_within_that_begins_as_a_formula_does(text: str) -> None:
    """Where ; or tab separate, or a line ends a row whatever the quotes."""
    for separator in ";\t\r\n":
        for part in spreadsheets.cell(text).split(separator):
            assert part.strip()[:1] not in ("=", "+", "-", "@")


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (-5, "-5"),
        (Decimal("-1234.50"), "-1234.50"),
        (Decimal("1E+30"), "1" + "0" * 30),
        (2**70, str(2**70)),
        (None, ""),
        (True, "true"),
        ("plain", "plain"),
        ("2026-11-30", "2026-11-30"),
        ("-5", "'-5"),
        (Decimal("-Infinity"), "'-Infinity"),
        ("-infinity", "'-infinity"),
        (-0.5, "-0.5"),
    ],
)
def test_a_number_of_ours_stays_a_number(value: Any, written: str) -> None:
    assert spreadsheets.cell(value) == written


def test_a_file_of_cells_is_read_back_as_it_was_written() -> None:
    rows = [("name", "sold"), ('say "hi", twice', 1), ("two\r\nlines", Decimal("1.10")), ("\x1b[31m", None)]
    file = io.BytesIO()
    assert spreadsheets.write(file, rows, 10) == (3, False)
    assert file.getvalue().startswith(b"\xef\xbb\xbfname,sold\r\n")
    assert file.getvalue().endswith(b"\r\n")
    read = list(csv.reader(io.StringIO(file.getvalue().decode("utf-8-sig"), newline="")))
    assert read[1:] == [['say "hi", twice', "1"], ["two\r\nlines", "1.10"], ["␛[31m", ""]]


def test_a_file_has_no_more_rows_than_it_may_and_says_so() -> None:
    file = io.BytesIO()
    assert spreadsheets.write(file, [("n",), (1,), (2,), (3,)], 2) == (2, True)
    assert file.getvalue().decode("utf-8-sig") == "n\r\n1\r\n2\r\n"


# --- the folder


def put(folder: Folder, name: str, what: bytes) -> None:
    with folder.replacing(name) as file:
        file.write(what)


def test_a_page_has_the_modes_of_the_settings_whatever_the_umask(settings: Settings) -> None:
    shared = replace(settings, umask="027")
    os.umask(0o077)
    with opened(shared) as folder:
        put(folder, "page.html", b"x")
    assert stat.S_IMODE((settings.report_dir / "page.html").stat().st_mode) == 0o640
    os.umask(0)
    with opened(settings) as folder, folder.inner("made") as inner:
        put(inner, "a.csv", b"x")
    assert stat.S_IMODE((settings.report_dir / "made" / "a.csv").stat().st_mode) == 0o600
    assert stat.S_IMODE((settings.report_dir / "made").stat().st_mode) == 0o700


def test_who_reads_has_all_of_the_old_page_or_all_of_the_new_one(settings: Settings) -> None:
    with opened(settings) as folder:
        put(folder, "page.html", b"old")
        with folder.replacing("page.html") as file:
            file.write(b"half")
            file.flush()
            assert (settings.report_dir / "page.html").read_bytes() == b"old"
            assert len(folder.names()) == 2
        assert (settings.report_dir / "page.html").read_bytes() == b"half"


def write_too_much(folder: Folder) -> None:
    """As on a full disk: half of the page is written."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        put(folder, "page.html", b"x" * 200_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_page_that_could_not_be_written_leaves_the_old_one_and_nothing_else(settings: Settings) -> None:
    with opened(settings) as folder:
        put(folder, "page.html", b"old")
        with pytest.raises(OSError, match="File too large"):
            write_too_much(folder)
        assert folder.names() == ["page.html"]
    assert (settings.report_dir / "page.html").read_bytes() == b"old"


def test_nothing_is_written_through_a_link(settings: Settings, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    settings.report_dir.mkdir()
    (settings.report_dir / "page.html").symlink_to(victim)
    (settings.report_dir / "made").symlink_to(elsewhere)
    with opened(settings) as folder:
        with pytest.raises(FolderError, match=r"page\.html is a link.*remove it"):
            put(folder, "page.html", b"x")
        with pytest.raises(FolderError, match="made is a link"), folder.inner("made"):
            pass
    linked = replace(settings, report_folder="linked")
    linked.report_dir.symlink_to(elsewhere)
    with pytest.raises(FolderError, match="linked is a link"), opened(linked):
        pass
    assert victim.read_text() == "untouched"
    assert list(elsewhere.iterdir()) == []


def test_a_folder_or_a_pipe_in_the_way_is_named(settings: Settings) -> None:
    settings.report_dir.mkdir()
    os.mkfifo(settings.report_dir / "page.html")
    (settings.report_dir / "made").write_text("")
    with opened(settings) as folder:
        with pytest.raises(FolderError, match=r"page\.html is no file"):
            put(folder, "page.html", b"x")
        with pytest.raises(FolderError, match="made is no folder"), folder.inner("made"):
            pass


# --- how long pages stay


def page_of(settings: Settings, day: str) -> None:
    with opened(settings) as folder:
        put(folder, keeping.page_name(day), keeping.mark(day) + b"<html>")
        with folder.inner(keeping.folder_name(day)) as inner:
            put(inner, "products.csv", spreadsheets.BYTE_ORDER_MARK + b"product_id\r\n")


def tidy(settings: Settings, today: str, days: float) -> list[str]:
    with opened(settings) as folder:
        return keeping.tidy(folder, today, days)


def test_pages_older_than_the_days_that_are_kept_go_with_their_csv_files(settings: Settings) -> None:
    for day in ("2026-10-30", "2026-10-31", "2026-11-30"):
        page_of(settings, day)
    assert tidy(settings, "2026-11-30", 30) == ["reports-2026-10-30", "reports-2026-10-30.html"]
    assert tidy(settings, "2026-11-30", 1e9) == []
    assert tidy(settings, "2026-11-30", 0.5) == ["reports-2026-10-31", "reports-2026-10-31.html"]
    assert sorted(path.name for path in settings.report_dir.iterdir()) == [
        "reports-2026-11-30",
        "reports-2026-11-30.html",
    ]


def test_what_is_not_surely_ours_stays(settings: Settings, tmp_path: Path) -> None:
    page_of(settings, "2020-01-01")
    report_dir = settings.report_dir
    kept = [
        report_dir / "reports-2020-01-02.html",  # no page of ours
        report_dir / "reports-2020-01-03.html.bak",
        report_dir / "reports-2020-13-01.html",
        report_dir / "reports-2020-01-01" / "mine.csv",
        report_dir / "notes.txt",
    ]
    for path in kept:
        path.write_text("mine")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "products.csv").write_bytes(spreadsheets.BYTE_ORDER_MARK)
    (report_dir / "reports-2020-01-04").symlink_to(elsewhere)
    target = tmp_path / "target.html"
    target.write_bytes(keeping.mark("2020-01-05"))
    (report_dir / "reports-2020-01-05.html").symlink_to(target)
    assert tidy(settings, "2026-11-30", 30) == ["reports-2020-01-01.html"]
    assert all(path.exists() for path in [*kept, target, elsewhere / "products.csv"])
    assert not (report_dir / "reports-2020-01-01" / "products.csv").exists()


def test_what_a_killed_writer_left_goes_after_an_hour(settings: Settings) -> None:
    settings.report_dir.mkdir()
    old, new = (settings.report_dir / f".page.html.{word}.part" for word in ("0123abcd", "4567abcd"))
    old.write_text("half")
    new.write_text("half")
    os.utime(old, (time.time() - 4000, time.time() - 4000))
    tidy(settings, "2026-11-30", 30)
    assert list(settings.report_dir.iterdir()) == [new]
