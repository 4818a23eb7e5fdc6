"""The judge: which texts are which values, which are set aside, and that one bad row costs one row."""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from sluice.contracts.judge import Judge
from sluice.contracts.matching import match
from sluice.contracts.model import ContractError
from sluice.contracts.parse import parse_contract
from sluice.reading.csv_records import RecordReader
from sluice.reading.dialect import Dialect

SHA = "ab" * 32
NAMESPACE = uuid.UUID("6f1d3c5a-7b2e-5f0e-9a4c-8d1b2f3e4a5c")


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    made = Judge()
    yield made
    made.close()


class Feed:
    """A contract with ``columns`` beside the needed ones, and what the judge makes of rows of it."""

    def __init__(self, judge: Judge, *columns: dict[str, Any], rules: tuple[dict[str, Any], ...] = (), **custom: Any):
        needed = [
            {"name": "event_id", "transformLogic": "record_id(file_sha256, record_number)"},
            {"name": "kind", "physicalName": "event_type", "required": True},
            {
                "name": "event_time",
                "logicalType": "timestamp",
                "transformLogic": "TIMESTAMPTZ '2026-01-01 00:00:00Z'",
            },
        ]
        given = {column.get("physicalName", column["name"]) for column in columns}
        needed = [column for column in needed if column.get("physicalName", column["name"]) not in given]
        document = {
            "apiVersion": "v3.2.0",
            "kind": "DataContract",
            "id": "test",
            "version": "1.0.0",
            "status": "active",
            "customProperties": [{"property": key, "value": value} for key, value in custom.items()],
            "schema": [
                {
                    "name": "test",
                    "properties": [{"logicalType": "string"} | column for column in (*needed, *columns)],
                    **({"quality": list(rules)} if rules else {}),
                }
            ],
        }
        self.contract = parse_contract(yaml.safe_dump(document), Path("test.odcs.yaml"))
        self.judge = judge

    def judged(self, text: str) -> Any:
        """The judgement of the CSV ``text``."""
        reader = RecordReader(io.BytesIO(text.encode()), self.contract.dialect)
        header = reader.header()
        assert header is not None
        found = match([(self.contract, header)])
        [block] = reader.blocks(len(header))
        assert not block.broken
        return self.judge.judge(block, found, file_id=7, sha256=SHA)

    def values(self, name: str, texts: list[str], header: str = "x") -> dict[str, Any]:
        """What each text (as a quoted field) became in column ``name`` of events; rules broken for those set aside."""
        rows = "\n".join('view,"' + text.replace('"', '""') + '"' for text in texts)
        judged = self.judged(f"kind,{header}\n{rows}\n")
        good = {row["record_number"]: row for row in judged.good.to_pylist()}
        bad = {row + 1: rules for row, rules, _ in judged.bad}
        return {
            text: good[number][name] if number in good else bad[number] for number, text in enumerate(texts, start=1)
        }


def extra(row: dict[str, Any]) -> dict[str, Any]:
    assert row["extra"][:1] == b"\x01"
    found: dict[str, Any] = json.loads(row["extra"][1:])
    return found


BAD = ["x.type"]


def test_a_number_keeps_every_digit_or_is_set_aside(judge: Judge) -> None:
    feed = Feed(judge, {"name": "x", "physicalName": "price", "logicalType": "number"})
    expected: dict[str, Any] = {
        "1.239": Decimal("1.239"),
        "1.23400": Decimal("1.234"),
        "1.23456": BAD,
        " 7 ": Decimal(7),
        "+5": Decimal(5),
        "-0": Decimal(0),
        "00012": Decimal(12),
        ".5": Decimal("0.5"),
        "5.": Decimal(5),
        "9999999999999999.9999": Decimal("9999999999999999.9999"),
        "10000000000000000": BAD,
        "12345678901234567890": BAD,
        **dict.fromkeys(
            ("1d", "1e5", "٣", "1,000", "1_000", "NaN", "Infinity", "0x1F", "$5", "1 2", "--1", ".", "-"), BAD
        ),
    }
    assert feed.values("price", list(expected)) == expected


def test_the_physical_type_narrows_a_number(judge: Judge) -> None:
    feed = Feed(judge, {"name": "x", "physicalName": "price", "logicalType": "number", "physicalType": "numeric(5,2)"})
    expected = {"1.239": BAD, "1.230": Decimal("1.23"), "999.99": Decimal("999.99"), "1000": BAD}
    assert feed.values("price", list(expected)) == expected


def test_a_decimal_comma_is_read_where_the_contract_says_so(judge: Judge) -> None:
    column = {
        "name": "x",
        "physicalName": "price",
        "logicalType": "number",
        "customProperties": [{"property": "decimalSeparator", "value": ","}],
    }
    expected = {"1,5": Decimal("1.5"), "1.5": BAD, "1.000,5": BAD}
    assert Feed(judge, column).values("price", list(expected)) == expected


def number(target: str, kind: str = "number", **custom: Any) -> dict[str, Any]:
    """Column x, which fills ``target``, with these customProperties."""
    properties = [{"property": name, "value": value} for name, value in custom.items()]
    return {"name": "x", "physicalName": target, "logicalType": kind, "customProperties": properties}


def test_a_separator_of_thousands_stands_between_groups_of_three_digits(judge: Judge) -> None:
    german = Feed(judge, number("price", decimalSeparator=",", thousandsSeparator="."))
    expected: dict[str, Any] = {
        "1.001,50": Decimal("1001.5"),
        "1001,50": Decimal("1001.5"),
        "-1.234.567": Decimal(-1234567),
        "999": Decimal(999),
        "1.234.567.890.123.456,0000": Decimal(1234567890123456),
        "12.345.678.901.234.567,5": BAD,
        **dict.fromkeys(
            ("1.5", "1.23,5", "1234.567", "1,234.50", "1..234", ".234", "1.234.", "1.234,567.8", "1 234"), BAD
        ),
    }
    assert german.values("price", list(expected)) == expected
    french = Feed(judge, number("price", decimalSeparator=",", thousandsSeparator=" "))
    expected = {"1 234,5": Decimal("1234.5"), "1\u00a0234": Decimal(1234), "1\u202f234": Decimal(1234), "1  234": BAD}
    assert french.values("price", list(expected)) == expected
    whole = Feed(judge, number("quantity", "integer", thousandsSeparator="."))
    expected = {"1.234": 1234, "9.223.372.036.854.775.807": 9223372036854775807, "9.223.372.036.854.775.808": BAD}
    assert whole.values("quantity", list(expected)) == expected
    swiss = Feed(judge, number("price", thousandsSeparator="'"))
    assert swiss.values("price", ["1'234.50"]) == {"1'234.50": Decimal("1234.5")}


def test_only_the_signs_of_currency_that_are_declared_stand_beside_a_number(judge: Judge) -> None:
    feed = Feed(judge, number("price", currency=["€", "EUR", "E", "Fr.", "R$"]))
    expected: dict[str, Any] = {
        **dict.fromkeys(
            ("9.50", "€9.50", "€ 9.50", "9.50€", "9.50 €", "9.50\u00a0EUR", "EUR\u202f9.50", "Fr. 9.50"), Decimal("9.5")
        ),
        **dict.fromkeys(("-€9.50", "€-9.50", "€ -9.50", "-9.50 EUR", "R$-9.50"), Decimal("-9.5")),
        **dict.fromkeys(
            ("$9.50", "€9.50€", "9.50  €", "(9.50)", "-€-9.50", "9.50-", "€", "9€50", "9.50 USD", "eur 9.50", "9E5"),
            BAD,
        ),
    }
    assert feed.values("price", list(expected)) == expected
    both = Feed(judge, number("price", currency=["€"], decimalSeparator=",", thousandsSeparator=" "))
    assert both.values("price", ["1 234,50 €"]) == {"1 234,50 €": Decimal("1234.5")}


def test_an_integer_is_whole_and_fits(judge: Judge) -> None:
    feed = Feed(judge, {"name": "x", "physicalName": "quantity", "logicalType": "integer"})
    expected: dict[str, Any] = {
        "9223372036854775807": 9223372036854775807,
        "0000000000000000000000000007": 7,
        "-9223372036854775808": -9223372036854775808,
        **dict.fromkeys(("9223372036854775808", "1.0", "1e3", "٣", "7 7", "", "x"), BAD),
    }
    expected[""] = None
    assert feed.values("quantity", list(expected)) == expected


def test_numbers_in_extra_keep_their_text_and_have_rules(judge: Judge) -> None:
    feed = Feed(judge, {"name": "x", "logicalType": "integer", "logicalTypeOptions": {"minimum": 0}})
    judged = feed.judged("kind,x\nview,0012345678901234567890123\nview,-1\n")
    assert extra(judged.good.to_pylist()[0]) == {"x": "0012345678901234567890123"}
    assert judged.bad == [(1, ["x.minimum"], "rule")]
    latitude = Feed(judge, {"name": "x", "logicalType": "number", "physicalType": "double precision"})
    assert extra(latitude.judged("kind,x\nview,3.7e1\n").good.to_pylist()[0]) == {"x": "3.7e1"}


def at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]


def test_a_time_is_a_moment_or_is_set_aside(judge: Judge) -> None:
    feed = Feed(judge, {"name": "x", "physicalName": "event_time", "logicalType": "timestamp"})
    expected: dict[str, Any] = {
        "2026-11-22": at(2026, 11, 22),
        "2026-11-22T10:00": at(2026, 11, 22, 10),
        "2026-11-22 10:00:00 UTC": at(2026, 11, 22, 10),
        "2026-11-22T10:00:00Z": at(2026, 11, 22, 10),
        "2026-11-22T10:00:00+02": at(2026, 11, 22, 8),
        "2026-11-22T10:00:00+0200": at(2026, 11, 22, 8),
        "2026-11-22T10:00:00+02:00": at(2026, 11, 22, 8),
        "2026-11-22 10:00:00 -03:30": at(2026, 11, 22, 13, 30),
        "2026-11-22T10:00:00.1": at(2026, 11, 22, 10, 0, 0, 100_000),
        "2026-11-22T10:00:00.123456Z": at(2026, 11, 22, 10, 0, 0, 123_456),
        "2026-11-22T10:00:00.123456000Z": at(2026, 11, 22, 10, 0, 0, 123_456),
        "2026-11-22T10:00:00.1234567Z": BAD,
        "2026-02-30": BAD,
        "2026-11-22T25:00": BAD,
        "2026-11-22T23:59:60": BAD,
        "2026-11-22T10:00:00+25:00": BAD,
        "2026-11-22T10:00:00+02:75": BAD,
        "0000-01-01": BAD,
        **dict.fromkeys(("T10:00", "10:00", "today", "now", "infinity", "1700000000", "22.11.2026", "2026-1-2"), BAD),
    }
    assert feed.values("event_time", list(expected)) == expected


def test_a_time_without_zone_is_in_the_zone_of_the_contract(judge: Judge) -> None:
    column = {"name": "x", "physicalName": "event_time", "logicalType": "timestamp"}
    texts = {
        "2026-07-01 10:00": at(2026, 7, 1, 8),
        "2026-01-01 10:00": at(2026, 1, 1, 9),
        "2026-01-01 10:00Z": at(2026, 1, 1, 10),
    }
    assert Feed(judge, column, timezone="Europe/Berlin").values("event_time", list(texts)) == texts
    of_the_column = column | {"logicalTypeOptions": {"defaultTimezone": "Europe/Berlin"}}
    assert Feed(judge, of_the_column, timezone="Asia/Tokyo").values("event_time", list(texts)) == texts


def test_only_the_formats_of_the_contract_are_read(judge: Judge) -> None:
    column = {
        "name": "x",
        "physicalName": "event_time",
        "logicalType": "timestamp",
        "customProperties": [
            {"property": "formats", "value": ["dd.MM.yyyy HH:mm", "M/d/yyyy h:mm a", "yyyyMMdd'T'HHmmssX"]}
        ],
    }
    expected = {
        "22.11.2026 10:00": at(2026, 11, 22, 10),
        "1/2/2026 1:05 PM": at(2026, 1, 2, 13, 5),
        "20261122T100000Z": at(2026, 11, 22, 10),
        "20261122T100000+0230": at(2026, 11, 22, 7, 30),
        **dict.fromkeys(("2026-11-22 10:00", "31.02.2026 10:00", "1/2/2026 13:05 PM", "2.11.2026 10:00"), BAD),
    }
    assert Feed(judge, column).values("event_time", list(expected)) == expected


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/Los_Angeles"])
def test_a_moment_that_its_zone_pushes_out_of_the_years_1_to_9999_is_set_aside(judge: Judge, zone: str) -> None:
    column = {"name": "x", "physicalName": "event_time", "logicalType": "timestamp"}
    expected: dict[str, Any] = {
        "9999-12-29T23:00:00Z": at(9999, 12, 29, 23),
        "0001-01-02T00:00:00Z": at(1, 1, 2),
        **dict.fromkeys(("9999-12-31T23:00:00-05:00", "0001-01-01T00:00:00+02:00", "9999-12-31T23:59:59"), BAD),
    }
    assert Feed(judge, column, timezone=zone).values("event_time", list(expected)) == expected
    patterned = column | {"customProperties": [{"property": "formats", "value": ["yyyy-MM-dd'T'HH:mm:ssXXX"]}]}
    del expected["9999-12-31T23:59:59"]
    assert Feed(judge, patterned, timezone=zone).values("event_time", list(expected)) == expected


def test_a_far_date_in_extra_keeps_its_text(judge: Judge) -> None:
    feed = Feed(judge, {"name": "x", "logicalType": "date"})
    assert extra(feed.judged("kind,x\nview,9999-12-31\n").good.to_pylist()[0]) == {"x": "9999-12-31"}


def test_an_event_id_is_a_uuid_in_any_usual_writing(judge: Judge) -> None:
    feed = Feed(judge, {"name": "x", "physicalName": "event_id", "required": True})
    one = uuid.UUID("550e8400-e29b-41d4-a716-446655440000")
    expected: dict[str, Any] = {
        str(one): one.bytes,
        str(one).upper(): one.bytes,
        one.hex: one.bytes,
        **dict.fromkeys(
            (
                *(f"{{{one}}}", "{550e8400-e29b41d4-a716446655440000}", "17", str(one)[:-1], str(one)[:-1] + "g"),
                *("x" * 36, "55-0e8400e29b-41d4a716-44665544-0000", "550e8400-e29b41d4-a716-446655440000"),
                *("-550e8400-e29b-41d4a716446655440000-", "550e8400e29b41d4a71644665544-000", one.hex + "----"),
            ),
            BAD,
        ),
        "": ["x.required"],
    }
    assert feed.values("event_id", list(expected)) == expected


def test_nulls_trim_value_map_and_enum(judge: Judge) -> None:
    column = {
        "name": "x",
        "physicalName": "payment_method",
        "enum": [{"value": "cc"}, {"value": "cash"}, {"value": "-"}],
        "customProperties": [
            {"property": "valueMap", "value": {"cc": "card", "-": None}},
            {"property": "trim", "value": True},
        ],
    }
    feed = Feed(judge, column, csv={"nulls": ["", "NULL"]})
    judged = feed.judged('kind,x\nview,cc\nview," cash "\nview,-\nview,NULL\nview,"NULL"\nview,gold\nview,\n')
    by_number = sorted((row["record_number"], row["payment_method"]) for row in judged.good.to_pylist())
    assert by_number == [(1, "card"), (2, "cash"), (3, None), (4, None), (7, None)]
    assert judged.bad == [(4, ["x.enum"], "rule"), (5, ["x.enum"], "rule")]


def test_text_is_kept_byte_for_byte(judge: Judge) -> None:
    feed = Feed(judge, {"name": "x", "physicalName": "user_agent"})
    texts = ["  padded  ", "\ttab", "ﬀ́", "two\nlines", "é", "é", '"quoted"', "'; DROP TABLE events; --", "\u202egnp"]
    assert feed.values("user_agent", texts) == {text: text for text in texts}


@pytest.mark.parametrize(
    ("options", "good", "bad"),
    [
        ({"minLength": 2, "maxLength": 3}, ["ab", "äöü"], ["a", "abcd"]),
        ({"pattern": "[a-z]+"}, ["abc"], ["Abc", "abc\n", ""]),
        (
            {"format": "uuid"},
            ["550e8400-e29b-41d4-a716-446655440000", "550e8400e29b41d4a716446655440000"],
            ["550e8400", "550e8400-e29b41d4a716446655440000"],
        ),
    ],
)
def test_options_of_a_text_are_rules(judge: Judge, options: dict[str, Any], good: list[str], bad: list[str]) -> None:
    feed = Feed(judge, {"name": "x", "physicalName": "user_id", "logicalTypeOptions": options})
    found = feed.values("user_id", good + bad)
    assert [text for text in good + bad if found[text] == text] == good


def test_options_of_a_number_are_rules(judge: Judge) -> None:
    options = {"exclusiveMinimum": 0, "maximum": 10, "multipleOf": 0.25}
    feed = Feed(judge, {"name": "x", "physicalName": "price", "logicalType": "number", "logicalTypeOptions": options})
    expected = {
        "10": Decimal(10),
        "0.25": Decimal("0.25"),
        "0": ["x.exclusiveMinimum"],
        "10.1": ["x.maximum", "x.multipleOf"],
    }
    assert feed.values("price", list(expected)) == expected


def test_a_rule_over_several_columns_warns_rejects_or_fails_the_file(judge: Judge) -> None:
    def rule(severity: str) -> dict[str, Any]:
        return {
            "name": f"low_below_high_{severity}",
            "type": "custom",
            "engine": "sluice",
            "severity": severity,
            "implementation": "low <= high -- both inclusive",
        }

    columns = ({"name": "low", "logicalType": "integer"}, {"name": "high", "logicalType": "integer"})
    text = "kind,low,high\nview,1,2\nview,2,1\nview,,1\n"
    warned = Feed(judge, *columns, rules=(rule("warn"),)).judged(text)
    assert (warned.warned, warned.bad) == (1, [])
    rejected = Feed(judge, *columns, rules=(rule("reject"),)).judged(text)
    assert (rejected.bad, rejected.failed) == ([(1, ["low_below_high_reject"], "rule")], [])
    failed = Feed(judge, *columns, rules=(rule("fail"),)).judged(text)
    assert failed.failed == [(1, ["low_below_high_fail"])]


def test_an_expression_that_raises_for_one_row_costs_that_row(judge: Judge) -> None:
    feed = Feed(
        judge,
        {"name": "quantity", "logicalType": "integer"},
        {"name": "price", "logicalType": "number"},
        {"name": "total_amount", "logicalType": "number", "transformLogic": "quantity * price"},
        {"name": "year", "logicalType": "integer", "transformLogic": "CAST(code AS INTEGER)"},
        {"name": "code"},
        rules=(
            {
                "name": "the_code_is_even",
                "type": "custom",
                "engine": "sluice",
                "implementation": "CAST(code AS INTEGER) % 2 = 0",
            },
        ),
    )
    judged = feed.judged(
        "kind,quantity,price,code\nview,2,1.5,2026\nview,9999999999999,9999999999999,2026\nview,2,1,abc\nview,,,\n"
    )
    good = sorted(judged.good.to_pylist(), key=lambda row: row["record_number"])
    assert [row["total_amount"] for row in good] == [Decimal("3.0000"), None]
    assert extra(good[0]) == {"code": "2026", "year": 2026}
    assert judged.bad == [(1, ["total_amount.type"], "type"), (2, ["year.type", "the_code_is_even"], "type")]


@pytest.mark.parametrize(
    ("derived", "expected"),
    [
        # x is text, so that each expression says what it makes of it.
        (
            {"name": "price", "logicalType": "number", "transformLogic": "CAST(x AS DECIMAL(38, 10))"},
            {
                "10.00005": ["price.type"],
                "10.0001": Decimal("10.0001"),
                "-0.00004": ["price.type"],
                "1e9": Decimal(10**9),
            },
        ),
        (
            {
                "name": "price",
                "logicalType": "number",
                "physicalType": "numeric(10,2)",
                "transformLogic": "x::DECIMAL(9,3)",
            },
            {"1.239": ["price.type"], "1.230": Decimal("1.23")},
        ),
        (
            {"name": "price", "logicalType": "number", "transformLogic": "CAST(x AS DOUBLE) / 4"},
            {"1": Decimal("0.25"), "0.0001": ["price.type"], "nan": ["price.type"], "1e300": ["price.type"]},
        ),
        (
            {"name": "price", "logicalType": "number", "transformLogic": "round(CAST(x AS DOUBLE) / 3, 4)"},
            {"1": Decimal("0.3333"), "2000000000": Decimal("666666666.6667")},
        ),
        (
            {"name": "quantity", "logicalType": "integer", "transformLogic": "CAST(x AS HUGEINT)"},
            {"7": 7, "9223372036854775808": ["quantity.type"]},
        ),
        (
            {
                "name": "event_time",
                "logicalType": "timestamp",
                "transformLogic": "strptime(x, '%Y-%m-%d %H:%M:%S.%n')",
            },
            {
                "2026-01-01 00:00:00.123456789": ["event_time.type"],
                "2026-01-01 00:00:00.123456000": at(2026, 1, 1, 0, 0, 0, 123_456),
            },
        ),
        (
            {"name": "event_id", "transformLogic": "x"},
            {
                "550e8400-e29b-41d4-a716-446655440000": uuid.UUID("550e8400e29b41d4a716446655440000").bytes,
                "550e8400e29b41d4a716446655440000": uuid.UUID("550e8400e29b41d4a716446655440000").bytes,
                "55-0e8400e29b-41d4a716-44665544-0000": ["event_id.type"],
            },
        ),
    ],
    ids=["decimal", "narrow decimal", "double", "rounded double", "integer", "moment", "uuid"],
)
def test_a_derived_value_is_exact_in_its_column_or_set_aside(
    judge: Judge, derived: dict[str, Any], expected: dict[str, Any]
) -> None:
    feed = Feed(judge, {"name": "x"}, derived)
    assert feed.values(derived["name"], list(expected)) == expected


@pytest.mark.parametrize(
    ("physical_type", "made_as", "expected"),
    [
        ("", "DECIMAL(38, 10)", {"1234567890123.4567": "1234567890123.4567", "0.10": "0.1", "-0.5": "-0.5", "0": "0"}),
        ("numeric(17,4)", "DECIMAL(17, 4)", {"1234567890123.4567": "1234567890123.4567", "100": "100"}),
        ("numeric(38,0)", "DECIMAL(38, 0)", {"12345678901234567890123456789012345678": None, "-100": "-100"}),
        ("numeric(4,4)", "DECIMAL(4, 4)", {"-0.5": "-0.5", "0.1234": "0.1234", "0": "0"}),
        ("numeric(38,38)", "DECIMAL(38, 38)", {"0.12345678901234567890123456789012345678": None}),
        ("numeric(6,2)", "DECIMAL(8, 4)", {"1.25": "1.25", "1.255": ["d.type"]}),
        ("double precision", "DOUBLE", {"0.1": "0.1", "1e300": "1e300", "inf": ["d.type"]}),
        ("double precision", "DECIMAL(38, 10)", {"0.1": "0.1", "1234567890123.4567": ["d.type"]}),
    ],
)
def test_a_derived_number_in_extra_is_written_digit_by_digit(
    judge: Judge, physical_type: str, made_as: str, expected: dict[str, Any]
) -> None:
    derived = {"name": "d", "logicalType": "number", "transformLogic": f"CAST(x AS {made_as})"}
    feed = Feed(judge, {"name": "x"}, derived | ({"physicalType": physical_type} if physical_type else {}))
    found = feed.values("extra", list(expected))
    written = {
        text: json.loads(v[1:], parse_float=str, parse_int=str)["d"] if isinstance(v, bytes) else v
        for text, v in found.items()
    }
    assert written == {text: text if wanted is None else wanted for text, wanted in expected.items()}


def test_a_derived_whole_number_in_extra_is_exact(judge: Judge) -> None:
    feed = Feed(judge, {"name": "x"}, {"name": "d", "logicalType": "integer", "transformLogic": "CAST(x AS HUGEINT)"})
    largest = 2**127 - 1
    assert extra(feed.judged(f"kind,x\nview,{largest}\n").good.to_pylist()[0])["d"] == largest


def test_what_an_expression_says_twice_costs_only_the_row_that_raises(judge: Judge) -> None:
    twice = "CASE WHEN CAST(x AS INTEGER) > 0 THEN CAST(x AS INTEGER) END"
    feed = Feed(judge, {"name": "x"}, {"name": "quantity", "logicalType": "integer", "transformLogic": twice})
    assert feed.values("quantity", ["7", "-7", "abc"]) == {"7": 7, "-7": None, "abc": ["quantity.type"]}


def test_a_derived_column_may_name_a_derived_column_before_it(judge: Judge) -> None:
    feed = Feed(
        judge,
        {"name": "x"},
        {"name": "middle", "transformLogic": "upper(x)"},
        {"name": "user_id", "transformLogic": "middle || '!'"},
    )
    assert feed.values("user_id", ["a"]) == {"a": "A!"}


@pytest.mark.parametrize(
    ("target", "logical_type", "expression", "rule"),
    [
        ("event_id", "string", "nullif(x, 'bad')", "event_id.required"),
        ("event_id", "string", "x", "event_id.type"),
        ("user_id", "string", "x || chr(0)", "user_id.type"),
        ("event_time", "timestamp", "nullif(TIMESTAMPTZ 'infinity', TIMESTAMPTZ '2026-01-01')", "event_time.type"),
        ("event_type", "string", "nullif(x, 'bad')", "event_type.required"),
    ],
)
def test_a_derived_value_that_postgresql_cannot_take_is_set_aside(
    judge: Judge, target: str, logical_type: str, expression: str, rule: str
) -> None:
    columns = [
        {"name": "x", "required": True},
        {"name": target, "logicalType": logical_type, "transformLogic": expression},
    ]
    if target == "event_type":
        columns.append({"name": "kind"})
    feed = Feed(judge, *columns)
    assert feed.judged("kind,x\nview,bad\n").bad[0][1] == [rule]


def test_record_ids_and_feed_ids_are_uuids_of_version_5(judge: Judge) -> None:
    by_record = Feed(judge, {"name": "x"}).values("event_id", ["a"])["a"]
    assert by_record == uuid.uuid5(NAMESPACE, f"{SHA}:1").bytes
    by_feed = Feed(judge, {"name": "x"}, {"name": "event_id", "transformLogic": "feed_id('shop', x)"})
    assert by_feed.values("event_id", ["17"])["17"] == uuid.uuid5(NAMESPACE, "shop:17").bytes


def test_what_the_contract_does_not_know_is_kept_in_extra_and_a_missing_optional_column_is_null(judge: Judge) -> None:
    feed = Feed(judge, {"name": "known"}, {"name": "absent"}, {"name": "user_id"})
    judged = feed.judged(
        'x\'); DROP TABLE events; --,KIND, known ,"$1",,\n"v\'\\",view,k,two,,\nother,view,,three,four,five\n'
    )
    first, second = sorted(judged.good.to_pylist(), key=lambda row: row["record_number"])
    assert first["user_id"] is None
    assert extra(first) == {"x'); DROP TABLE events; --": "v'\\", "known": "k", "$1": "two"}
    assert extra(second) == {
        "x'); DROP TABLE events; --": "other",
        "$1": "three",
        "column_5": "four",
        "column_6": "five",
    }


def test_a_nul_in_a_header_name_is_written_so_that_jsonb_can_hold_it(judge: Judge) -> None:
    judged = Feed(judge, {"name": "x"}).judged("kind,x,a\0b\nview,1,2\n")
    assert extra(judged.good.to_pylist()[0]) == {"x": "1", "a\\0b": "2"}


def test_a_row_without_anything_extra_has_no_extra(judge: Judge) -> None:
    assert Feed(judge, {"name": "x"}).judged("kind,x\nview,\n").good.to_pylist()[0]["extra"] is None


def test_a_wide_header_is_judged(judge: Judge) -> None:
    names = [f"column {i}" for i in range(1500)]
    judged = Feed(judge, {"name": "x"}).judged(",".join(["kind", *names]) + "\nview," + ",".join(names) + "\n")
    assert extra(judged.good.to_pylist()[0]) == {name: name for name in names}


def test_an_aliased_required_column_is_found(judge: Judge) -> None:
    feed = Feed(judge, {"name": "user_id", "required": True, "synonyms": [{"synonym": "Customer ID"}]})
    judged = feed.judged("customer id,KIND\n17,view\n,view\n")
    assert [row["user_id"] for row in judged.good.to_pylist()] == ["17"]
    assert judged.bad == [(1, ["user_id.required"], "rule")]


def test_sql_that_does_not_run_is_an_error_of_the_contract_not_of_the_file(judge: Judge) -> None:
    feed = Feed(judge, {"name": "x"}, {"name": "user_id", "transformLogic": "colour"})
    with pytest.raises(ContractError, match=r"test\.odcs\.yaml: user_id: transformLogic: there is no column 'colour'"):
        feed.judged("kind,x\nview,1\n")


def test_the_dialect_of_the_contract_is_the_readers(judge: Judge) -> None:
    feed = Feed(judge, {"name": "user_id"}, csv={"separator": ";", "quote": "'", "escape": "\\", "nulls": ["-"]})
    assert feed.contract.dialect == Dialect(separator=";", quote="'", escape="\\", nulls=("-",))
    judged = feed.judged("kind;user_id\nview;'a;\\'b'\n")
    assert [row["user_id"] for row in judged.good.to_pylist()] == ["a;'b"]
