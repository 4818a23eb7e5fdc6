"""Contracts: what a contract file may say, what is refused with which reason, and which header fits which contract."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from sluice.base.settings import PROJECT
from sluice.contracts.judge import Judge
from sluice.contracts.matching import Match, match
from sluice.contracts.model import Contract, ContractError, HeaderError
from sluice.contracts.parse import parse_contract
from sluice.contracts.sql.times import date_pattern
from sluice.reading.csv_records import RecordReader
from sluice.reading.layout import Layout

SHIPPED = PROJECT / "include" / "contracts"
ID = {"name": "event_id", "transformLogic": "record_id(file_sha256, record_number)"}
KIND = {"name": "event_type", "required": True}
WHEN = {"name": "at", "physicalName": "event_time", "logicalType": "timestamp", "required": True}


def document(*columns: dict[str, Any], **custom: Any) -> dict[str, Any]:
    """A small contract as a document: ``columns`` beside those that every contract needs; ``custom`` properties."""
    return {
        "apiVersion": "v3.2.0",
        "kind": "DataContract",
        "id": "test",
        "name": custom.pop("name", "test"),
        "version": "1.0.0",
        "status": "active",
        "customProperties": [{"property": key, "value": value} for key, value in custom.items()],
        "schema": [{"name": "test", "properties": [{"logicalType": "string"} | c for c in (ID, KIND, WHEN, *columns)]}],
    }


def parsed(*columns: dict[str, Any], **custom: Any) -> Contract:
    return parse_contract(yaml.safe_dump(document(*columns, **custom)), Path("test.odcs.yaml"))


def rule(predicate: str, severity: str = "reject", name: str = "a_rule") -> dict[str, Any]:
    return {"name": name, "type": "custom", "engine": "sluice", "severity": severity, "implementation": predicate}


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.odcs.yaml")), ids=lambda path: path.stem)
def test_every_contract_in_the_project_is_usable_and_its_sql_is_sound(path: Path) -> None:
    assert Judge().problems(parse_contract(path.read_text(), path)) == []


@pytest.mark.parametrize(
    ("columns", "custom", "reason"),
    [
        ([{"name": "x", "physicalName": "colour"}], {}, "'colour' is no column of events"),
        ([{"name": "x", "unique": True}], {}, "only event_id is kept unique while streaming"),
        ([{"name": "price", "logicalType": "boolean"}], {}, "logicalType 'boolean' cannot fill price"),
        ([{"name": "x", "logicalType": "time"}], {}, "logicalType 'time' cannot fill extra"),
        ([{"name": "x"}, {"name": "y", "synonyms": [{"synonym": "X "}]}], {}, "more than one column answers to ['x']"),
        ([{"name": "a", "physicalName": "user_id"}, {"name": "user_id"}], {}, "more than one column fills ['user_id']"),
        ([{"name": "record_number"}], {}, "reserved"),
        ([{"name": "x", "quality": [rule("true", "shout")]}], {}, "severity 'shout' is none of warn, reject, fail"),
        (
            [{"name": "x", "quality": [{"type": "sql", "query": "SELECT 1", "mustBe": 1}]}],
            {},
            "write it as type: custom",
        ),
        ([{"name": "x", "quality": [rule("true")]}, {"name": "y", "quality": [rule("true")]}], {}, "one rule is named"),
        ([{"name": "x", "enum": [{"value": True}]}], {}, "put it in quotes"),
        ([{"name": "x", "logicalTypeOptions": {"maxlength": 3}}], {}, "properties.3.logicalTypeOptions"),
        ([{"name": "x", "logicalType": "number", "physicalType": "numeric(50,2)"}], {}, "at most 38 digits"),
        (
            [{"name": "x", "transformLogic": "1", "synonyms": [{"synonym": "y"}]}],
            {},
            "a derived column has no synonyms",
        ),
        ([{"name": "x", "customProperties": [{"property": "valuemap", "value": {}}]}], {}, "did you mean valueMap"),
        ([{"name": "x", "customProperties": [{"property": "trim", "value": "yes"}]}], {}, "must be true or false"),
        ([{"name": "x", "customProperties": [{"property": "decimalSeparator", "value": ";"}]}], {}, "'.' or ','"),
        (
            [
                {
                    "name": "x",
                    "logicalType": "number",
                    "customProperties": [{"property": "thousandsSeparator", "value": "."}],
                }
            ],
            {},
            "x: thousandsSeparator and decimalSeparator are both '.': make them differ",
        ),
        (
            [{"name": "x", "customProperties": [{"property": "currency", "value": ["€"]}]}],
            {},
            "x: currency means nothing for a string: it is for integer, number",
        ),
        (
            [{"name": "x", "logicalType": "number", "customProperties": [{"property": "currency", "value": "€"}]}],
            {},
            "x: currency is '€': write a list",
        ),
        (
            [
                {
                    "name": "x",
                    "logicalType": "integer",
                    "customProperties": [{"property": "thousandsSeparator", "value": "0"}],
                }
            ],
            {},
            "x: thousandsSeparator is '0': it must be one character",
        ),
        ([], {"reportCurrency": "eur"}, "reportCurrency is 'eur': write the code (ISO 4217)"),
        ([], {"reportCurrency": "EURO"}, "three capital letters such as EUR"),
        ([], {"reportCurrency": 978}, "reportCurrency is 978"),
        ([], {"reportCurrency": None}, "reportCurrency is None"),
        ([], {"sales": "no"}, "sales is 'no': it must be true or false"),
        ([], {"sale": False}, "custom property 'sale' is unknown: did you mean sales?"),
        ([], {"csv": {"quote": "''"}}, "must be one ASCII character"),
        ([], {"csv": {"separator": "123456789"}}, "must be 1 to 8 characters"),
        ([], {"csv": {"separator": "|\n"}}, "no line end among them"),
        ([], {"csv": {"separator": '"'}}, "holds quote or escape"),
        ([], {"csv": {"separator": '|"|'}}, "holds quote or escape"),
        ([], {"csv": {"separator": "§", "encoding": "shift_jis"}}, "cannot be told apart in shift_jis"),
        ([], {"csv": {"separator": "→", "encoding": "cp1252"}}, "cannot be told apart in cp1252"),
        ([], {"csv": {"comment": '"'}}, "as a record may begin"),
        ([], {"csv": {"comment": ",,"}}, "as a record may begin"),
        ([], {"csv": {"comment": ""}}, "must be 1 to 8 characters"),
        ([], {"csv": {"delimiter": ";"}}, "it may hold comment, encoding, escape, footer, header, headerLines, nulls"),
        ([], {"csv": {"header": "second"}}, "must be one of first, none, ignore"),
        ([], {"csv": {"header": "none"}}, "say which files are this feed's"),
        ([], {"csv": {"header": "none", "headerLines": 2}, "files": ["x.csv"]}, "csv.header is none: drop one"),
        ([], {"csv": {"headerLines": 0}}, "must be a whole number from 1"),
        ([], {"csv": {"skipLines": True}}, "must be a whole number from 0"),
        ([], {"csv": {"footer": "(Total"}}, "is no regular expression"),
        ([], {"csv": {"footer": "Total|.*"}}, "which any record begins with"),
        ([], {"files": "x-*.csv"}, "write a list of patterns"),
        ([], {"files": ["in/x-*.csv"]}, "write a list of patterns"),
        ([], {"csv": {"strayQuote": "keep"}}, "csv.strayQuote is 'keep': it must be warn or reject"),
        ([], {"csv": {"encoding": "klingon"}}, "csv.encoding is 'klingon'"),
        ([], {"csv": {"encoding": "utf-7"}}, "keeps ASCII"),
        ([], {"csv": {"nulls": "NULL"}}, "write a list"),
        ([], {"errorBudget": {"row": 1}}, "write {rows: n}"),
        ([], {"errorBudget": {"rows": -1}}, "0 or more"),
        ([], {"errorbudget": {"rows": 1}}, "did you mean errorBudget"),
        ([], {"revision": "merge"}, "revision 'merge' is none of append, replace, reject"),
    ],
)
def test_a_contract_that_cannot_be_meant_so_is_refused_with_place_and_remedy(
    columns: list[dict[str, Any]], custom: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ContractError) as refused:
        parsed(*columns, **custom)
    assert str(refused.value).startswith("test.odcs.yaml: ")
    assert reason in str(refused.value)


@pytest.mark.parametrize("left_out", ["event_id", "event_type", "at"])
def test_a_contract_must_fill_what_every_event_has(left_out: str) -> None:
    made = document()
    properties = made["schema"][0]["properties"]
    made["schema"][0]["properties"] = [column for column in properties if column["name"] != left_out]
    with pytest.raises(ContractError, match="nothing fills event_"):
        parse_contract(yaml.safe_dump(made), Path("test.odcs.yaml"))


class Counted(str):
    """A name that counts how often it is hashed or compared."""

    looks = 0

    def __hash__(self) -> int:
        Counted.looks += 1
        return super().__hash__()

    def __eq__(self, other: object) -> bool:
        Counted.looks += 1
        return super().__eq__(other)

    def strip(self, *_: object) -> Counted:
        return self

    def replace(self, *_: object) -> Counted:  # type: ignore[override]
        return self

    def casefold(self) -> Counted:
        return self


def looks_at(contract: Contract, columns: int) -> int:
    """How many looks at names it takes to match a header of so many columns that the contract does not know."""
    names = [Counted(name) for name in ("event_type", "at", *(f"n{i}" for i in range(columns)))]
    Counted.looks = 0
    assert match([(contract, list(names))]).field_names == tuple(names)
    return Counted.looks


def test_a_header_is_checked_in_linear_time() -> None:
    contract = parsed()
    assert looks_at(contract, 1600) <= 4.2 * looks_at(contract, 400)


def test_fields_without_names_get_free_ones() -> None:
    header = ["event_type", "at", *[""] * 2000, *(f"column_{i}" for i in range(3, 2003))]
    names = Match(parsed(), tuple(header)).field_names
    assert len(set(names)) == len(header)
    assert names[2:4] == ("column_3", "column_4")
    assert names[2002:2004] == ("column_3_2", "column_4_2")


@pytest.mark.parametrize(("columns_max", "fits"), [(None, True), (4, True), (3, False)])
def test_a_header_of_too_many_columns_fits_no_contract_and_says_its_width(columns_max: int | None, fits: bool) -> None:
    header = ["event_type", "at", "x", "y"]
    other = parsed(name="other", csv={"separator": ";"})
    headers: list[tuple[Contract, list[str] | None]] = [(parsed(), header), (other, [",".join(header)])]
    if fits:
        assert match(headers, columns_max).contract.name == "test"
        return
    with pytest.raises(HeaderError, match="has 4 columns, more than SLUICE_COLUMNS_MAX=3 allows"):
        match(headers, columns_max)


def test_a_contract_without_a_required_column_needs_all_of_them_in_the_header() -> None:
    made = document({"name": "x"}, {"name": "y"})
    constants = {"event_type": "string", "event_time": "timestamp"}
    values = {"event_type": "'view'", "event_time": "TIMESTAMPTZ '2026-01-01 00:00:00Z'"}
    derived = [{"name": name, "logicalType": kind, "transformLogic": values[name]} for name, kind in constants.items()]
    made["schema"][0]["properties"] = [made["schema"][0]["properties"][i] for i in (0, 3, 4)] + derived
    contract = parse_contract(yaml.safe_dump(made), Path("test.odcs.yaml"))
    assert contract.missing(["x"]) == ["y"]
    assert contract.missing(["Y", "x", "z"]) == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: [", "not YAML"),
        ("name: a\nname: b\n", "stands more than once"),
        ("- 1", "not an Open Data Contract Standard v3 contract"),
        (yaml.safe_dump(document()).replace("logicalType: timestamp", "description: when"), "'at' needs a logicalType"),
        ("kind: DataContract\napiVersion: v3.2.0\nid: x\nstatus: active\n", "'version' is a required property"),
    ],
)
def test_what_is_no_contract_of_the_standard_is_refused_with_the_place(text: str, reason: str) -> None:
    with pytest.raises(ContractError) as refused:
        parse_contract(text, Path("test.odcs.yaml"))
    assert reason in str(refused.value)


def test_a_contract_says_what_of_a_file_is_no_record() -> None:
    csv = {"separator": "~|~", "comment": "//", "skipLines": 2, "header": "ignore", "headerLines": 3, "footer": "Sum"}
    contract = parsed(csv=csv, files=["Berlin-*.csv"])
    assert (contract.dialect.separator, contract.dialect.comment) == ("~|~", "//")
    assert contract.layout == Layout(2, "ignore", 3, "Sum")
    taken = [name for name in ("berlin-1.CSV", "berlin-1.csv.gz", "x-berlin-1.csv", "x.csv") if contract.takes(name)]
    assert taken == ["berlin-1.CSV", "berlin-1.csv.gz"]
    assert parsed().layout == Layout()
    assert parsed().takes("x.csv")


def test_a_quote_as_its_own_escape_means_a_doubled_quote() -> None:
    assert parsed(csv={"escape": '"'}).dialect.escape is None


def test_yaml_words_stay_text() -> None:
    text = yaml.safe_dump(document({"name": "x"})).replace(
        "    name: x", "    name: x\n    enum: [{value: no}, {value: 2026-01-01}, {value: 0012}, {value: 7}]"
    )
    assert parse_contract(text, Path("test.odcs.yaml")).columns[-1].declared["enum"] == (
        "no",
        "2026-01-01",
        "0012",
        "7",
    )


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        ({"name": "x", "quality": [rule("colour = 1")]}, "there is no column 'colour'"),
        ({"name": "x", "quality": [rule("x")]}, "it is of type VARCHAR, but BOOLEAN is needed"),
        ({"name": "x", "quality": [rule("x = 'a') OR (true")]}, "syntax error"),
        ({"name": "x", "quality": [rule("x = 'a' FROM records")]}, "one expression"),
        ({"name": "x", "quality": [rule("x = (SELECT max(x) FROM records)")]}, "subquery is not possible here"),
        ({"name": "x", "quality": [rule("max(x) = 'a'")]}, "max looks at several rows"),
        ({"name": "x", "quality": [rule("row_number() OVER () > 1")]}, "window is not possible here"),
        ({"name": "x", "quality": [rule("x = $1")]}, "parameter is not possible here"),
        ({"name": "x", "quality": [rule("random() > 0.5")]}, "random gives another value each time"),
        ({"name": "x", "quality": [rule("nosuch(x)")]}, "nosuch"),
        ({"name": "user_id", "transformLogic": "now()::VARCHAR"}, "now gives another value each time"),
        (
            {"name": "user_id", "transformLogic": 'age("at")::VARCHAR'},
            "age gives another value each time",
        ),
        ({"name": "user_id", "transformLogic": "current_date"}, "there is no column 'current_date'"),
        ({"name": "user_id", "transformLogic": "file_id"}, "there is no column 'file_id'"),
        ({"name": "quantity", "logicalType": "integer", "transformLogic": "'7'"}, "but BIGINT is needed"),
        ({"name": "total_amount", "logicalType": "number", "transformLogic": "event_type"}, "but DECIMAL(20, 4) is"),
        ({"name": "x", "logicalTypeOptions": {"pattern": "(?=x)"}}, "x: pattern"),
        ({"name": "event_id", "transformLogic": "record_number"}, "a uuid as text is needed: feed_id"),
        (
            {"name": "x", "logicalType": "timestamp", "logicalTypeOptions": {"format": "yyyy-QQ"}},
            "'QQ' in date format",
        ),
        ({"name": "x", "logicalType": "timestamp", "logicalTypeOptions": {"minimum": "soon"}}, "x: minimum"),
        (
            {"name": "x", "logicalType": "timestamp", "logicalTypeOptions": {"defaultTimezone": "Mars/Base"}},
            "Mars/Base",
        ),
    ],
)
def test_sql_of_a_contract_that_cannot_run_is_found_before_any_row_meets_it(
    column: dict[str, Any], reason: str
) -> None:
    made = document(column)
    names = [item["name"] for item in made["schema"][0]["properties"]]
    if names.count(column["name"]) > 1:
        del made["schema"][0]["properties"][names.index(column["name"])]
    [problem] = Judge().problems(parse_contract(yaml.safe_dump(made), Path("test.odcs.yaml")))
    assert reason in problem


def test_an_unknown_time_zone_is_found() -> None:
    assert "'Mars/Base' is no known time zone" in Judge().problems(parsed(timezone="Mars/Base"))[0]


@pytest.mark.parametrize(
    ("pattern", "shape", "directive"),
    [
        ("dd.MM.yyyy HH:mm", r"\d{2}\.\d{2}\.", "%d.%m.%Y %H:%M"),
        ("yyyy-MM-dd'T'HH:mm:ss", "T", "%Y-%m-%dT%H:%M:%S"),
        ("h 'o''clock' a", "o'clock", "%I o'clock %p"),
        ("yyyy '100%'", "100%", "%Y 100%%"),
    ],
)
def test_a_java_date_pattern_becomes_a_shape_and_a_directive(pattern: str, shape: str, directive: str) -> None:
    found, means = date_pattern(pattern)
    assert shape in found
    assert means == directive


def best(header: str, *contracts: Contract) -> Match:
    return match([(contract, header.split(",")) for contract in contracts])


def test_a_header_matches_in_any_order_whatever_its_letters_blanks_and_aliases() -> None:
    contract = parsed({"name": "user_id", "required": True, "synonyms": [{"synonym": "Customer"}]})
    assert best("CUSTOMER , At,EVENT_TYPE", contract).contract is contract


def test_the_contract_that_knows_most_of_the_header_wins() -> None:
    plain, wide = parsed(name="plain"), parsed({"name": "user_id"}, name="wide")
    assert best("at,event_type,user_id", plain, wide).contract is wide


def test_a_header_that_fits_two_contracts_equally_is_refused_naming_both() -> None:
    with pytest.raises(HeaderError, match="fits contracts one, two equally well"):
        best("at,event_type", parsed(name="one"), parsed(name="two"))


def test_a_header_known_in_part_says_which_contract_came_nearest_and_what_is_missing() -> None:
    with pytest.raises(HeaderError, match="nearest is test, which also needs at"):
        best("event_type,colour", parsed())


def test_two_columns_of_one_meaning_are_refused() -> None:
    contract = parsed({"name": "user_id", "synonyms": [{"synonym": "customer"}]})
    with pytest.raises(HeaderError, match="all mean user_id"):
        best("at,event_type,user_id,customer", contract)


def test_every_field_has_a_name_of_its_own() -> None:
    contract = parsed({"name": "net", "transformLogic": "1", "logicalType": "integer"})
    names = best("at,event_type,,,column_3,net", contract).field_names
    assert names == ("at", "event_type", "column_3", "column_4", "column_3_2", "net_2")


def test_the_worked_example_of_the_documentation_does_what_it_says() -> None:
    page = (PROJECT / "docs" / "contracts.md").read_text()
    contract = parse_contract(page.split("```yaml\n")[1].split("```")[0], Path("berlin.odcs.yaml"))
    lines = [line for line in page.split("from Berlin:")[1].split("```")[0].splitlines() if line.startswith("    ")]
    reader = RecordReader(io.BytesIO("".join(f"{line[4:]}\n" for line in lines).encode()), contract.dialect)
    found = match([(contract, reader.header())])
    [block] = reader.blocks(len(found.header))
    judged = Judge().judge(block, found, file_id=1, sha256="0" * 64)
    assert judged.bad == []
    rows = sorted(judged.good.to_pylist(), key=lambda row: row["record_number"])
    assert [(row["event_type"], row["user_id"], row["quantity"], str(row["total_amount"])) for row in rows] == [
        ("purchase", "K17", 2, "19.0000"),
        ("cancellation", None, -1, "-1234.0000"),
    ]
    assert json.loads(rows[1]["extra"][1:]) == {"Bestellung": "B-1002", "Bemerkung": "zu\nspät"}
    assert rows[0]["event_time"].isoformat() == "2025-12-24T18:05:00+01:00"
