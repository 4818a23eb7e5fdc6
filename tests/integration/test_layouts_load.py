"""Files in each dialect and layout that a contract can declare, through to the tables, and their rejects replayed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from sluice.base.settings import Settings
from sluice.loading.landed_file import Tally
from sluice.loading.load_file import FileLoader
from sluice.loading.replay import replay
from sluice.proof.reconcile import reconcile
from tests.loading import Connection, recount, rejects

Load = Callable[..., Tally]
NEEDED = [
    {"name": "event_id", "logicalType": "string", "transformLogic": "record_id(file_sha256, record_number)"},
    {"name": "event_type", "logicalType": "string", "transformLogic": "'row'"},
    {"name": "event_time", "logicalType": "timestamp", "transformLogic": "TIMESTAMPTZ '2026-01-01 00:00:00Z'"},
]


def write_contract(
    settings: Settings, csv: dict[str, Any], *, name: str = "shop", amount: str = "number", **custom: Any
) -> None:
    columns = [{"name": "article", "logicalType": "string"}, {"name": "amount", "logicalType": amount}]
    document = {
        "apiVersion": "v3.2.0",
        "kind": "DataContract",
        "id": name,
        "name": name,
        "version": "1.0.0",
        "status": "active",
        "customProperties": [{"property": key, "value": value} for key, value in {"csv": csv, **custom}.items()],
        "schema": [{"name": name, "properties": [*NEEDED, *columns]}],
    }
    (settings.contracts_dir / f"{name}.odcs.yaml").write_text(yaml.safe_dump(document))


@pytest.fixture
def load(own_contracts: Settings, epoch: int, land: Callable[..., int]) -> Iterator[Load]:
    loader = FileLoader(own_contracts, epoch)
    yield lambda data, name="shop-1.csv": loader.load(land(data, name))
    loader.close()


def extras(connection: Connection) -> list[tuple[int, Any]]:
    rows = connection.execute("SELECT record_number, extra FROM events ORDER BY record_number").fetchall()
    return [(row["record_number"], (row["extra"] or {}).get("article")) for row in rows]


FILES = ["shop-*.csv"]
CASES: dict[str, tuple[dict[str, Any], str, tuple[int, int, str], list[tuple[int, Any]]]] = {
    "a separator of several characters": (
        {"separator": "||"},
        'article||amount\n"a||b"||1\n"c|"||2\nd||x\n',
        (3, 4, "d||x"),
        [(1, "a||b"), (3, "d")],
    ),
    "a separator that is not ASCII": (
        {"separator": "§", "encoding": "cp1252"},
        "article§amount\né§1\nd§x",
        (2, 3, "d§x"),
        [(1, "é"), (2, "d")],
    ),
    "comments": (
        {"comment": "#"},
        '# a "file\narticle,amount\n# x\na,1\n#,"\nd,x\n',
        (2, 6, "d,x"),
        [(1, "a"), (2, "d")],
    ),
    "lines above the header": (
        {"skipLines": 2},
        'Report "of today\n\narticle,amount\na,1\nd,x\n',
        (2, 5, "d,x"),
        [(1, "a"), (2, "d")],
    ),
    "no header": ({"header": "none"}, "a,1\nd,x\n", (2, 2, "d,x"), [(1, "a"), (2, "d")]),
    "a header that is ignored": (
        {"header": "ignore", "headerLines": 2},
        '"broken\nnames,of,three\na,1\nd,x\n',
        (2, 4, "d,x"),
        [(1, "a"), (2, "d")],
    ),
    "a header of several lines": (
        {"headerLines": 2},
        ",\narticle,amount\na,1\nd,x\n",
        (2, 4, "d,x"),
        [(1, "a"), (2, "d")],
    ),
    "a footer": (
        {"footer": "Sum"},
        "article,amount\nSum,1\nd,x\nSum,1,2\nSum\n",
        (2, 3, "d,x"),
        [(1, "Sum"), (2, "d")],
    ),
    "a line that names the separator": (
        {"separator": ";"},
        "sep=;\narticle;amount\na;1\nd;x\n",
        (2, 4, "d;x"),
        [(1, "a"), (2, "d")],
    ),
    "nulls with the escape character": (
        {"escape": "\\", "nulls": ["\\N"]},
        'article,amount\n\\N,\\N\n"\\N",1\nd\\,,x\n',
        (3, 4, "d\\,,x"),
        [(1, None), (2, "N"), (3, "d,")],
    ),
}


@pytest.mark.parametrize(("csv", "text", "bad", "articles"), CASES.values(), ids=CASES)
def test_a_file_is_loaded_recounted_and_its_reject_replayed(
    own_contracts: Settings,
    load: Load,
    connection: Connection,
    csv: dict[str, Any],
    text: str,
    bad: tuple[int, int, str],
    articles: list[tuple[int, Any]],
) -> None:
    write_contract(own_contracts, csv, files=FILES)
    encoding = csv.get("encoding", "utf-8")
    tally = load(text.encode(encoding))
    assert tally.state == "loaded"
    [reject] = rejects(connection, tally.file_id)
    record, line, raw = bad
    assert (reject["record_number"], reject["line_number"], bytes(reject["raw"])) == (
        record,
        line,
        raw.encode(encoding),
    )
    found = reconcile(own_contracts, own_contracts.reader_dsn)
    assert found.holds, found.lines()
    write_contract(own_contracts, csv, amount="string", files=FILES)
    assert replay(own_contracts).loaded == 1
    kept = [pair for pair in extras(connection) if pair[0] in dict(articles)]
    assert kept == articles
    assert recount(connection)[tally.file_id][1] == 0


def test_the_ledger_keeps_how_a_file_was_laid_out_and_how_many_records_its_footer_has(
    own_contracts: Settings, load: Load, connection: Connection
) -> None:
    write_contract(own_contracts, {"footer": "Sum", "skipLines": 1, "comment": "#"}, files=FILES)
    load(b"title\narticle,amount\na,1\nSum,1\n# end\nSum,2\n")
    [row] = connection.execute("SELECT read_as, rows_read FROM ledger.files").fetchall()
    told = {"footer": "Sum", "skip_lines": 1, "header": "first", "header_lines": 1, "comment": "#", "footer_records": 2}
    assert row["rows_read"] == 1
    assert {name: row["read_as"][name] for name in told} == told


def test_the_recount_reads_a_file_as_it_was_read_when_the_contract_has_changed_since(
    own_contracts: Settings, load: Load, connection: Connection
) -> None:
    write_contract(own_contracts, {"footer": "Sum", "skipLines": 1, "comment": "#"}, files=FILES)
    load(b"title\narticle,amount\n#x\na,1\nSum,1\n")
    write_contract(own_contracts, {}, files=FILES)
    assert reconcile(own_contracts, own_contracts.reader_dsn).holds


def test_only_files_of_its_names_go_to_a_contract(own_contracts: Settings, load: Load, connection: Connection) -> None:
    for name in ("berlin", "paris"):
        write_contract(own_contracts, {}, name=name, files=[f"{name}-*.csv"])
    write_contract(own_contracts, {}, name="others")
    for name in ("BERLIN-1.csv", "paris-1.csv", "rome-1.csv"):
        load(b"article,amount\n" + name.encode() + b",1\n", name)
    rows = connection.execute("SELECT name, contract FROM ledger.files ORDER BY file_id").fetchall()
    assert [row["contract"] for row in rows] == ["berlin", "paris", "others"]


def test_a_line_that_names_another_separator_is_said_to_do_so(
    own_contracts: Settings, load: Load, connection: Connection
) -> None:
    write_contract(own_contracts, {}, files=FILES)
    assert load(b"sep=|\narticle|amount\na|1\n").state == "rejected"
    [row] = connection.execute("SELECT error FROM ledger.files").fetchall()
    assert "line 1 names the separator '|', which no contract has" in row["error"]


def test_records_of_another_width_than_the_contracts_columns_are_said_to_be(
    own_contracts: Settings, load: Load, connection: Connection
) -> None:
    write_contract(own_contracts, {"header": "none"}, files=FILES)
    assert load(b"a,1,x\nb,2,x\n").state == "rejected"
    [row] = connection.execute("SELECT error FROM ledger.files").fetchall()
    assert "no record has as many fields as the contract has columns, 2, and the file no header" in row["error"]


@pytest.mark.parametrize("data", [b"", b"\n\n", b"\xef\xbb\xbf"])
def test_without_a_header_a_file_without_rows_is_loaded(
    own_contracts: Settings, load: Load, connection: Connection, data: bytes
) -> None:
    write_contract(own_contracts, {"header": "none"}, files=FILES)
    tally = load(data)
    assert (tally.state, tally.rows_read) == ("loaded", 0)
    assert reconcile(own_contracts, own_contracts.reader_dsn).holds


def test_a_file_of_another_name_is_never_empty(own_contracts: Settings, load: Load, connection: Connection) -> None:
    write_contract(own_contracts, {"header": "none"}, files=FILES)
    assert load(b"", "other.csv").state == "rejected"


def test_an_empty_file_whose_header_is_passed_over_lacks_it(
    own_contracts: Settings, load: Load, connection: Connection
) -> None:
    write_contract(own_contracts, {"header": "ignore"}, files=FILES)
    assert load(b"").state == "rejected"
    [row] = connection.execute("SELECT error FROM ledger.files").fetchall()
    assert row["error"].startswith("the file is empty")


def test_a_footers_pattern_inside_a_quoted_field_is_a_value(
    own_contracts: Settings, load: Load, connection: Connection
) -> None:
    write_contract(own_contracts, {"footer": "(?m)^Sum"}, files=FILES)
    assert load(b'article,amount\n"a\nSum",1\n" Sum",2\n"b\nSum,9",3\n').rows_loaded == 3
    assert extras(connection) == [(1, "a\nSum"), (2, " Sum"), (3, "b\nSum,9")]


def test_a_header_that_begins_as_a_comment_does_is_said_to_be_passed_over(
    own_contracts: Settings, load: Load, connection: Connection
) -> None:
    write_contract(own_contracts, {"comment": "art"}, files=FILES)
    assert load(b"article,amount\na,1\n").state == "rejected"
    [row] = connection.execute("SELECT error FROM ledger.files").fetchall()
    assert row["error"].startswith("line 1 is the header of contract shop, but begins with 'art', its csv.comment")
    assert load(b'"article",amount\na,1\n').rows_loaded == 1
    assert load(b"amount,article\n1,a\n").rows_loaded == 1
