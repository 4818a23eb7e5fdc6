"""The independent reader of the chaos harness: how it splits a file into records, and which it calls damaged."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sluice.generator.files import write_file
from sluice.generator.records import DIRT, Shares
from tests.chaos.recount import HEADER, Recount, judge, records, split_records
from tests.loading import event, event_id, table

PURCHASE = f"{event_id(1)},purchase,u1,p1,shoes,9.99,2026-11-22T10:00:00Z,s1,10.0.0.1,,,,2,19.98,card"


def split(data: bytes) -> list[tuple[int, bytes]]:
    return list(split_records(data.splitlines(keepends=True)))


def changed(**values: str) -> bytes:
    fields = dict(zip(HEADER, PURCHASE.split(","), strict=True)) | values
    return ",".join(fields.values()).encode()


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_a_record_ends_with_its_line_and_empty_lines_are_none(end: bytes) -> None:
    assert split(end.join([b"a,b", b"", b"c,d", b""])) == [(1, b"a,b"), (3, b"c,d")]


def test_a_quoted_field_may_go_over_several_lines_and_the_raw_bytes_keep_its_line_breaks() -> None:
    assert split(b'a,"b\nc\r\n\nd"\n1,2\n') == [(1, b'a,"b\nc\r\n\nd"'), (5, b"1,2")]


def test_a_quote_within_an_unquoted_field_is_text() -> None:
    assert split(b'a,5" screen\nc,d\n') == [(1, b'a,5" screen'), (2, b"c,d")]


@pytest.mark.parametrize("rest", [b"c,d\n", b'"c",d\n', b'c,"x\ny"\n'])
def test_a_quote_that_never_closes_costs_one_record(rest: bytes) -> None:
    found = split(b'a,"never\n' + rest)
    assert found[0] == (1, b'a,"never')
    assert found[1:] == [(line + 1, raw) for line, raw in split(rest)]


def test_a_good_record_is_expected_as_copy_writes_it() -> None:
    raw = changed(
        event_id=event_id(1).upper(), timestamp="2026-11-22T12:00:00.120+02:00", user_agent='"a\tb\\ ""c""\nd"'
    )
    expected, problem = judge(raw)
    assert problem == ""
    assert expected is not None
    assert expected.decode().split("\t") == [
        event_id(1),
        "purchase",
        "2026-11-22 10:00:00.12+00",
        "u1",
        "p1",
        "shoes",
        "9.9900",
        "s1",
        "10.0.0.1",
        r'a\tb\\ "c"\nd',
        r"\N",
        r"\N",
        "2",
        "19.9800",
        "card",
        r"\N",
    ]


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (changed(event_id=""), "no uuid"),
        (changed(event_id="1"), "no uuid"),
        (changed(event_id="55-0e8400e29b-41d4a716-44665544-0000"), "no uuid"),
        (changed(event_type="refund"), "unknown"),
        (changed(timestamp=""), "RFC 3339"),
        (changed(timestamp="T10:00"), "RFC 3339"),
        (changed(timestamp="2026-11-22T10:00:00"), "RFC 3339"),
        (changed(timestamp="2026-02-30T10:00:00Z"), "does not exist"),
        (changed(timestamp="9999-12-31T23:00:00-05:00"), "does not exist"),
        (changed(timestamp="9999-12-31T23:00:00Z"), "not within the years"),
        (changed(price="abc"), "no decimal"),
        (changed(price='"12,50"'), "no decimal"),
        (changed(price="-1"), "no decimal"),
        (changed(price="1e3"), "no decimal"),
        (changed(price="1.23456"), "no decimal"),
        (changed(price="٣"), "no decimal"),
        (changed(quantity="0"), "no whole number of 1"),
        (changed(quantity="1.0"), "no whole number"),
        (changed(search_results_count="-1"), "no whole number of 0"),
        (changed(product_id=""), "a purchase without"),
        (changed(quantity=""), "a purchase without"),
        (changed(total_amount=""), "a purchase without"),
        (changed() + b",", "16 fields"),
        (changed().rpartition(b",")[0], "14 fields"),
        (changed(user_agent="@").replace(b"@", b"\xff"), "not UTF-8"),
        (changed(user_agent="a\0"), "NUL"),
        (changed(user_agent='"never'), "quotes do not fit"),
    ],
)
def test_a_damaged_record_is_not_expected(raw: bytes, says: str) -> None:
    expected, problem = judge(raw)
    assert expected is None
    assert says in problem


def test_what_the_generator_damages_is_damaged_and_nothing_else(tmp_path: Path) -> None:
    manifest = write_file(
        tmp_path / "f.csv",
        rows=3000,
        shares=Shares(dirty=0.1, late=0.05, repeated=0.05),
        seed="1",
        now=datetime(2026, 11, 22, tzinfo=UTC),
    )
    found = list(records(manifest.path))
    good = [record for record in found if record.expected]
    assert [record.number for record in found] == list(range(1, 3001))
    assert len(found) - len(good) == manifest.dirty
    assert all(manifest.dirty_by_kind[kind] for kind in DIRT)
    assert len(good) - len({record.expected for record in good}) == manifest.repeated
    assert len({record.key for record in good}) == len({record.expected for record in good})
    assert found[-1].line > found[-1].number + 1, "phrases over two lines are among them"


def test_a_file_with_another_header_is_refused(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="its header is not that of contract events"):
        list(records(tmp_path / "f.csv"))


def test_a_file_of_a_header_alone_has_no_records(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text(table())
    assert list(records(tmp_path / "f.csv")) == []


def test_a_record_says_where_it_stands(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text(table(event(1, note='"a\nb"'), event(2)))
    assert str(list(records(tmp_path / "f.csv"))[1]) == f"record 2 (line 4, event {event_id(2)})"


def test_of_many_findings_all_are_counted_and_the_first_are_kept() -> None:
    found = Recount()
    for number in range(60):
        found.find("lost", f"record {number}")
    assert (found.lost, len(found.findings), found.findings[0], found.holds) == (60, 50, "lost: record 0", False)


def test_the_reader_shares_no_code_with_the_pipeline() -> None:
    script = "import sys, tests.chaos.recount; print(*(name.split('.')[0] for name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"sluice", "spark_jobs", "pyarrow", "duckdb", "pyspark"} & set(done.stdout.split())
