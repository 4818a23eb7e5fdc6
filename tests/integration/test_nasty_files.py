"""Files collected from the wild: each is loaded, or rejected with a reason that a person finds right."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sluice.base.settings import Settings
from sluice.loading.landed_file import Tally
from sluice.loading.load_file import FileLoader
from tests.loading import HEADER, Connection, recount, rejects
from tests.public_data import PUBLIC_DATA, needs

NASTY = ("nasty_csv_spectrum", "nasty_messytables", "nasty_strings")
SPECTRUM, MESSY, STRINGS = (PUBLIC_DATA / name for name in NASTY)
pytestmark = needs(*NASTY)
NEEDED = [
    {"name": "id", "physicalName": "event_id", "transformLogic": "record_id(file_sha256, record_number)"},
    {"name": "kind", "physicalName": "event_type", "transformLogic": "'row'"},
    {"name": "moment", "physicalName": "event_time", "transformLogic": "TIMESTAMPTZ '2026-01-01 00:00:00Z'"},
]
Load = Callable[..., Tally]


def contract(*columns: str, **dialect: Any) -> dict[str, Any]:
    """A contract of a feed with these columns, all text, all kept in extra."""
    names = {column["name"] for column in NEEDED} & {name.casefold() for name in columns}
    needed = [column | {"name": f"{column['name']}_of_event" if names else column["name"]} for column in NEEDED]
    kinds = {"event_time": "timestamp"}
    return {
        "apiVersion": "v3.2.0",
        "kind": "DataContract",
        "id": "nasty",
        "name": "nasty",
        "version": "1.0.0",
        "status": "active",
        "customProperties": [{"property": "csv", "value": dialect}],
        "schema": [
            {
                "name": "nasty",
                "properties": [
                    *(column | {"logicalType": kinds.get(column["physicalName"], "string")} for column in needed),
                    *({"name": name, "physicalName": "extra", "logicalType": "string"} for name in columns),
                ],
            }
        ],
    }


@pytest.fixture
def load_under(
    own_contracts: Settings, epoch: int, land: Callable[..., int]
) -> Iterator[Callable[[Path, dict[str, Any]], Tally]]:
    """Loads a file under contract events and one more."""
    loader = FileLoader(own_contracts, epoch)

    def load(path: Path, document: dict[str, Any] | None = None) -> Tally:
        if document is not None:
            (own_contracts.contracts_dir / "nasty.odcs.yaml").write_text(yaml.safe_dump(document))
        return loader.load(land(path.read_bytes(), path.name))

    yield load
    loader.close()


def loaded(connection: Connection) -> list[dict[str, str]]:
    return [row["extra"] for row in connection.execute("SELECT extra FROM events ORDER BY record_number")]


def error(connection: Connection, tally: Tally) -> str:
    row = connection.execute("SELECT error FROM ledger.files WHERE file_id = %s", [tally.file_id]).fetchone()
    assert row is not None
    return str(row["error"])


@pytest.mark.parametrize("path", sorted(SPECTRUM.glob("csvs/*.csv")), ids=lambda path: path.stem)
def test_csv_spectrum_loads_with_exactly_the_expected_values(
    load_under: Load, connection: Connection, path: Path
) -> None:
    expected = json.loads((SPECTRUM / "json" / f"{path.stem}.json").read_text())
    expected = expected if isinstance(expected, list) else [expected]
    tally = load_under(path, contract(*expected[0]))
    assert (tally.state, tally.rows_read, tally.rows_rejected) == ("loaded", len(expected), 0)
    if path.stem == "location_coordinates":
        expected[0]["Contact Phone Number"] = "2095257564"  # the collection expects a number that its CSV has not
    assert loaded(connection) == expected


@pytest.mark.parametrize("path", sorted(MESSY.glob("*.*")), ids=lambda path: path.name)
def test_a_file_of_no_known_feed_is_rejected_with_its_header_and_what_to_do(
    load_under: Load, connection: Connection, path: Path
) -> None:
    tally = load_under(path)
    assert tally.state == "rejected"
    reason = error(connection, tally)
    assert "fits no contract" in reason or "the file is empty" in reason
    assert connection.execute("SELECT count(*) AS n FROM events").fetchone() == {"n": 0}


def reference(path: Path, encoding: str, separator: str = ",") -> tuple[list[str], list[list[str]]]:
    """Header and rows as Python's own reader sees them; rows of another width are left out."""
    text = io.StringIO(path.read_bytes().decode(encoding), newline="")
    header, *rows = (row for row in csv.reader(text, delimiter=separator) if row)
    return header, [row for row in rows if len(row) == len(header)]


@pytest.mark.parametrize(
    ("name", "encoding", "separator", "rejected"),
    [
        ("211.csv", "latin-1", ",", 0),
        ("characters.csv", "big5hkscs", ",", 0),
        ("example.tsv", "utf-8", "\t", 0),
        ("simple.psv", "utf-8", "|", 0),
        ("simple.ssv", "utf-8", ";", 0),
        ("simple.csv", "utf-8", ",", 0),
        ("skip_initials.csv", "utf-8", ",", 0),
        ("spanish_chars.csv", "cp1252", ",", 0),
        ("sparse_with_column_errors.csv", "cp1252", ",", 0),
        ("utf-16le_encoded.csv", "utf-16", ",", 0),
        ("utf8bom.csv", "utf-8-sig", ",", 0),
        ("complex.csv", "utf-8", ",", 1),
        ("long.csv", "utf-8", ",", 0),
        ("small.csv", "utf-8", ",", 0),
        ("mixedGLB.csv", "utf-8", ",", 0),
        ("excel_pasting.csv", "utf-8", ",", 0),
        ("begrotingsanalyse-2011.csv", "utf-8", ",", 0),
    ],
)
def test_messy_files_load_under_a_contract_of_their_own_with_every_value(
    load_under: Load, connection: Connection, name: str, encoding: str, separator: str, rejected: int
) -> None:
    header, rows = reference(MESSY / name, encoding, separator)
    names = [column.strip() for column in header if column.strip()]
    dialect = {"separator": separator, "encoding": encoding, "nulls": []}
    tally = load_under(MESSY / name, contract(*names, **dialect))
    assert (tally.state, tally.rows_loaded, tally.rows_rejected) == ("loaded", len(rows), rejected)
    keys = [column.strip() or f"column_{i}" for i, column in enumerate(header, start=1)]
    assert loaded(connection) == [dict(zip(keys, row, strict=True)) for row in rows]
    recount(connection)


def test_a_header_that_names_a_column_twice_is_rejected_with_the_name(load_under: Load, connection: Connection) -> None:
    tally = load_under(MESSY / "null.csv", contract("1", "null"))
    assert tally.state == "rejected"
    assert "names ['0'] more than once: rename or drop" in error(connection, tally)


def test_a_file_in_another_encoding_than_its_contract_says_costs_only_the_rows_with_such_letters(
    load_under: Load, connection: Connection
) -> None:
    path = MESSY / "spanish_chars.csv"
    header, rows = reference(path, "cp1252")
    ascii_rows = [row for row in rows if "".join(row).isascii()]
    tally = load_under(path, contract(*header[:-1]))
    assert (tally.rows_loaded, tally.rows_rejected) == (len(ascii_rows), len(rows) - len(ascii_rows))
    assert {rule for row in rejects(connection, tally.file_id) for rule in row["rules"]} == {"record.invalid_bytes"}


def test_rows_under_a_title_instead_of_a_header_reject_the_file_and_name_the_likely_header(
    load_under: Load, connection: Connection
) -> None:
    path = MESSY / "weird_head_padding.csv"
    header, rows = reference(path, "utf-8")
    tally = load_under(path, contract(*[name.strip() for name in header if name.strip()]))
    assert (tally.state, rows) == ("rejected", [])
    reason = error(connection, tally)
    assert f"the header has {len(header)}, most records have" in reason
    assert rejects(connection, tally.file_id) == []


def naughty_strings() -> list[str]:
    return [text for text in json.loads((STRINGS / "blns.json").read_text()) if text] if STRINGS.exists() else []


def test_naughty_strings_arrive_byte_for_byte(load_under: Load, connection: Connection, tmp_path: Path) -> None:
    lines = (STRINGS / "blns.txt").read_bytes().decode("utf-8").split("\n")
    strings = list(dict.fromkeys([*naughty_strings(), *(line for line in lines if line)]))
    path = tmp_path / "naughty.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER.split(","))
        for number, text in enumerate(strings, start=1):
            identity = f"00000000-0000-4000-8000-{number:012d}"
            when = "2026-01-01T00:00:00Z"
            writer.writerow([identity, "search", "", "", "", "", when, "", "", "", text, "", "", "", ""])
    tally = load_under(path)
    assert len(strings) > 500
    with_nul = [text for text in strings if "\0" in text]
    assert tally.rows_rejected == len(with_nul)
    found = connection.execute(
        "SELECT record_number, convert_to(search_query, 'UTF8') AS bytes FROM events ORDER BY record_number"
    ).fetchall()
    arrived = {row["record_number"]: bytes(row["bytes"]) for row in found}
    assert arrived == {n: text.encode() for n, text in enumerate(strings, start=1) if "\0" not in text}


def test_a_nul_is_quarantined_with_the_bytes_of_its_record(
    load_under: Load, connection: Connection, tmp_path: Path
) -> None:
    path = tmp_path / "nul.csv"
    line = "00000000-0000-4000-8000-000000000001,search,,,,,2026-01-01T00:00:00Z,,,,a\0b,,,,"
    path.write_text(f"{HEADER}\n{line}\n")
    tally = load_under(path)
    [reject] = rejects(connection, tally.file_id)
    assert (reject["rules"], bytes(reject["raw"])) == (["record.nul_byte"], line.encode())
    assert reject["fields"]["search_query"] == "a\\0b"


def test_naughty_strings_as_header_names_stay_text(load_under: Load, connection: Connection, tmp_path: Path) -> None:
    folded: dict[str, str] = {}
    for text in naughty_strings():
        if text.strip() and "\0" not in text and text.strip().casefold() not in HEADER.split(","):
            folded.setdefault(text.strip().casefold(), text)
    names = list(folded.values())
    path = tmp_path / "names.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*HEADER.split(","), *names])
        needed = ["00000000-0000-4000-8000-000000000001", "search", "", "", "", "", "2026-01-01T00:00:00Z"]
        writer.writerow([*needed, *[""] * 8, *map(str, range(len(names)))])
    tally = load_under(path)
    assert tally.state == "loaded", error(connection, tally)
    assert loaded(connection) == [{name.strip(): str(i) for i, name in enumerate(names)}]
