"""What is seen at a glance changes what judging costs, and nothing else: the same rows are good, or break the same."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sluice.contracts import judge as judging
from sluice.contracts import shapes
from sluice.contracts.judge import Judge
from sluice.contracts.matching import Match, match
from sluice.contracts.parse import parse_contract
from sluice.reading.csv_records import RecordReader

NAMES = ("event_id", "event_type", "timestamp", "day", "price", "user_id", "note", "amount", "count")
GOOD = (
    "6f1d3c5a-7b2e-5f0e-9a4c-{:012x}",
    "view",
    "2026-01-01T00:00:{:02d}.123Z",
    "2026-01-{:02d}",
    "{}.50",
    "u",
    "n",
    "1{}.5",
    "{}",
)
UUIDS = (
    "",
    " ",
    "0" * 36,
    "-" * 36,
    "F" * 32,
    "ffffffff-FFFF-ffff-ffff-ffffffffffff",
    "ffffffff-ffff-ffff-ffff-fffffffffffg",
)
MOMENTS = (
    "",
    "2026-02-30",
    "2026-01-01",
    "2026-01-01T00:00:00",
    "2026-01-01 10:00:00.123456Z",
    "2026-01-01T24:00:00.123Z",
    "2026-01-01T23:59:60.123Z",
    "0000-01-01T00:00:00.123Z",
    "0001-01-01T00:00:00.123Z",
    "9999-12-31T23:59:59.123Z",
    "2026-01-01T00:00:00.12xZ",
    "2026-01-01T00:00:00.123z",
    "2026-01-01T00:00:00+02:00",
    "infinity",
)
OTHERS = (
    "",
    " ",
    " 5",
    "5 ",
    "-1",
    "1.23456",
    ".5",
    "5.",
    "1e3",
    "x y",
    "é",
    "\u2003",
    "2" * 40,
    "9" * 19,
    "9" * 17,
    "1.2.3",
    ".",
    "007",
    "1,5",
    "\\",
    "-0.0",
)
CELLS = (
    st.tuples(st.just(0), st.sampled_from(UUIDS))
    | st.tuples(st.sampled_from((2, 3)), st.sampled_from(MOMENTS))
    | st.tuples(st.integers(0, len(NAMES) - 1), st.sampled_from(OTHERS) | st.text("0123456789-: TZxé", max_size=36))
)


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    made = Judge()
    yield made
    made.close()


@pytest.fixture(scope="module")
def contract() -> Any:
    trimmed = [{"property": "trim", "value": True}]
    columns: list[dict[str, Any]] = [
        {"name": "event_id", "physicalType": "uuid", "required": True},
        {"name": "event_type", "required": True},
        {"name": "timestamp", "physicalName": "event_time", "logicalType": "timestamp", "required": True},
        {"name": "day", "logicalType": "date", "logicalTypeOptions": {"minimum": "2020-01-01"}},
        {"name": "price", "logicalType": "number", "logicalTypeOptions": {"minimum": 0}},
        {"name": "user_id", "customProperties": trimmed},
        {"name": "note", "customProperties": trimmed},
        {
            "name": "amount",
            "logicalType": "number",
            "physicalType": "numeric(9,2)",
            "logicalTypeOptions": {"exclusiveMinimum": 0},
        },
        {"name": "count", "logicalType": "integer", "logicalTypeOptions": {"minimum": 2, "maximum": 20}},
    ]
    document = {
        "apiVersion": "v3.2.0",
        "kind": "DataContract",
        "id": "test",
        "version": "1.0.0",
        "status": "active",
        "customProperties": [{"property": "timezone", "value": "Europe/Helsinki"}],
        "schema": [{"name": "test", "properties": [{"logicalType": "string"} | column for column in columns]}],
    }
    return parse_contract(yaml.safe_dump(document), Path("test.odcs.yaml"))


def file_of(rows: int, cells: dict[tuple[int, int], str]) -> bytes:
    """Good rows, of which ``cells`` (by row and column) have another text; quoted, so that empty ones are no nulls."""
    lines = [",".join(NAMES)]
    for row in range(rows):
        good = (text.format(row % 28 + 1) for text in GOOD)
        lines.append(",".join(f'"{cells.get((row, at), text)}"' for at, text in enumerate(good)))
    return "\n".join([*lines, ""]).encode()


def seen(judge: Judge, contract: Any, data: bytes) -> list[Any]:
    reader = RecordReader(io.BytesIO(data), contract.dialect)
    header = reader.header()
    assert header is not None
    found = match([(contract, header)])
    made = [judge.judge(block, found, file_id=7, sha256="ab" * 32) for block in reader.blocks(len(header))]
    return [
        asdict(judged) | {"good": judged.good.sort_by("record_number").to_pylist(), "schema": judged.good.schema}
        for judged in made
    ]


def assert_same(judge: Judge, contract: Any, data: bytes) -> None:
    """Judged with a glance, and without one, whatever it finds: the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shapes, "WORTH_TWO_QUERIES", 1)
        patch.setattr(shapes, "FEW", 1)
        fast = seen(judge, contract, data)
        patch.setattr(
            judging, "look", lambda records, match: shapes.Glance(shapes.NOTHING, np.empty(0, np.int64), None)
        )
        assert fast == seen(judge, contract, data)


@pytest.mark.parametrize("text", [*UUIDS, *MOMENTS, *OTHERS])
def test_an_odd_text_is_judged_as_by_every_pattern(judge: Judge, contract: Any, text: str) -> None:
    assert_same(judge, contract, file_of(2 * len(NAMES), {(2 * at, at): text for at in range(len(NAMES))}))


@given(
    st.integers(1, 40),
    st.dictionaries(st.integers(0, 39), CELLS, max_size=12),
    st.sampled_from((*GOOD[2:3], "2026-01-01 00:00:{:02d}", "2026-01-{:02d}")),
)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_what_is_known_at_a_glance_changes_no_judgement(
    judge: Judge, contract: Any, rows: int, odd: dict[int, tuple[int, str]], moment: str
) -> None:
    cells = {(row, 2): moment.format(row % 28 + 1) for row in range(rows)}
    cells |= {(row, at): text for row, (at, text) in odd.items()}
    data = file_of(rows, cells)
    assert_same(judge, contract, data)


@pytest.mark.parametrize(("at", "text", "rule"), [(4, "-0.01", "price.minimum"), (7, "0", "amount.exclusiveMinimum")])
def test_a_number_at_the_bound_is_judged_also_when_all_are_digits(
    judge: Judge, contract: Any, at: int, text: str, rule: str
) -> None:
    [found] = seen(judge, contract, file_of(20, {(7, at): text}))
    assert [(row, rules) for row, rules, _ in found["bad"] if row == 7] == [(7, [rule])]
    # 1 is below 2, though it has no sign.
    assert [(row, rules) for row, rules, _ in found["bad"] if row != 7] == [(0, ["count.minimum"])]


def glance(contract: Any, data: bytes) -> shapes.Glance:
    reader = RecordReader(io.BytesIO(data), contract.dialect)
    header = reader.header()
    assert header is not None
    [block] = reader.blocks(len(header))
    return shapes.look(pa.table(block.columns), Match(contract, tuple(header)))


def test_one_odd_row_among_many_is_the_only_one_that_every_pattern_is_held_against(contract: Any) -> None:
    rows = shapes.WORTH_TWO_QUERIES
    found = glance(contract, file_of(rows, {(5, 0): "x", (9, 2): "yesterday", (11, 3): "2026-01-0x", (12, 7): "1.234"}))
    assert found.known == shapes.Known(
        bare=frozenset({0, 2, 3, 4, 5, 6, 7, 8}),
        moments=frozenset({2, 3}),
        uuids=frozenset({0}),
        numbers=frozenset({4, 7, 8}),
        filled=frozenset({2, 3, 4, 5, 6, 7, 8}),
    )
    assert list(found.odd) == [5, 9, 11, 12]


def test_a_column_that_is_written_in_many_ways_is_not_known(contract: Any) -> None:
    rows = shapes.WORTH_TWO_QUERIES
    found = glance(contract, file_of(rows, {(row, 2): "2026-01-01" for row in range(0, rows, 2)}))
    assert 2 not in found.known.moments
    assert not len(found.odd)
