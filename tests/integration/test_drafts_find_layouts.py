"""Whatever stands above and below the rows of a file, or does not: the draft declares it, asks, and loads each row."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from sluice.base.settings import Settings
from sluice.contracts.draft_columns import Draft
from sluice.contracts.parse import parse_contract
from sluice.loading.load_file import FileLoader
from tests.integration.test_drafts_load_their_files import loaded_under_its_draft
from tests.loading import Connection, recount


@dataclass(frozen=True)
class Odd:
    """A file, its ``rows``, the layout that is found, what is asked about, and the names of its columns.

    ``set_aside`` are rows that cannot be read as the draft says.
    """

    data: str | bytes
    rows: int
    layout: dict[str, Any] = field(default_factory=dict)
    asks: tuple[str, ...] = ()
    names: list[str] | None = None
    set_aside: int = 0
    suffix: str = ".csv"
    holds: dict[str, Any] | None = None


def table(*rows: str, header: str = "Zeit;Artikel;Preis", times: int = 10) -> str:
    """``rows`` again and again below ``header``; {n} in them is a number."""
    lines = [row.format(n=n, day=f"{n % 28 + 1:02d}.12.2025") for n in range(times) for row in rows]
    return "".join(f"{line}\n" for line in ([header] if header else []) + lines)


ROWS = ("{day};B-{n};{n},50", "{day};B-{n};1.{n}01,00")
PLAIN = table(*ROWS)
HEADLESS = table(*ROWS, header="")
EXCEL = (
    "Umsatz nach Tagen;;;;;\n;;;;;\nZeit;Artikel;Preis;;;\n"
    + "".join(f"{n:02d}.12.2025 10:00;B-{n};1.{n:03d},50;;;\n" for n in range(1, 20))
    + ";;;;;\nSumme;;19.123,50;;;\n"
)
EMPTY_ROWS = r'(?:;|\s|"")+\Z'
NONE = {"header": "none"}
FILES = {
    "a title": Odd("Orders of today\n" + PLAIN, 20, {"skipLines": 1}, ("line 1 above the table is passed",)),
    "titles and an empty line": Odd(
        "Umsatz\nBerlin, Dezember\n\n" + PLAIN, 20, {"skipLines": 3}, ("lines 1 to 3 above the table are passed",)
    ),
    "a title with a quote that is not closed": Odd('Report "today\n' + PLAIN, 20, {"skipLines": 1}),
    "metadata of two fields": Odd(
        "Von;01.12.2025\nBis;24.12.2025\nFiliale;Berlin\n" + PLAIN, 20, {"skipLines": 3}, ("'Von;01.12.2025'",)
    ),
    "metadata that fills most of the columns": Odd("Von;01.12.2025;\n" + PLAIN, 20, {"skipLines": 1}),
    "a title as wide as the table": Odd("Umsatz;;\n;;\n" + PLAIN, 20, {"skipLines": 2}),
    "a title in UTF-16": Odd(("\ufeffUmsatz für heute\n" + PLAIN).encode("utf-16-le"), 20, {"skipLines": 1}),
    "a title and a byte order mark": Odd(("\ufeffUmsatz\n" + PLAIN).encode(), 20, {"skipLines": 1}),
    "a title and lone CRs": Odd(("Umsatz\n\n" + PLAIN).replace("\n", "\r"), 20, {"skipLines": 2}),
    "a title and tabs": Odd(("Umsatz\n" + PLAIN).replace(";", "\t"), 20, {"skipLines": 1}),
    "a title below the separator's name": Odd("sep=;\nUmsatz\n" + PLAIN, 20, {"skipLines": 2}),
    "a title below a comment": Odd("# made by hand\nUmsatz\n" + PLAIN, 20, {"skipLines": 2}),
    "totals": Odd(PLAIN + "Total;;123,00\n", 20, {"footer": "Total;"}, ("line 22 is taken for the file's footer",)),
    "totals below an empty line": Odd(PLAIN + "\nSumme;20;1.230,00\n", 20, {"footer": "Summe;"}),
    "totals without a word": Odd(PLAIN + ";;1.230,00\n", 20, {"footer": ";;[+-]?[0-9]"}),
    "totals in the second column": Odd(PLAIN + ";Gesamtsumme:;1.230,00\n", 20, {"footer": ";Gesamtsumme:;"}),
    "totals of another width": Odd(PLAIN + "Total;1.230,00\n", 20, {"footer": "Total;"}),
    "quoted totals": Odd(
        "".join(";".join(f'"{cell}"' for cell in line.split(";")) + "\n" for line in PLAIN.splitlines())
        + '"Total";"";"1"\n',
        20,
        {"footer": '"Total";'},
    ),
    "a count of the rows": Odd(PLAIN + "(20 rows)\n", 20, {"footer": r"\([0-9]+ rows\)\Z"}),
    "dashes and a sentence": Odd(
        PLAIN + "-----\nErstellt am 24.12.2025 von Hand\n",
        20,
        {"footer": r"-----\Z|Erstellt am [0-9]+\.[0-9]+\.[0-9]+ von Hand\Z"},
        ("lines 22 to 23 are taken for the file's footer",),
    ),
    "empty rows at the end": Odd(PLAIN + ";;\n;;\n", 20, {"footer": EMPTY_ROWS}),
    "a last row that breaks off is no footer": Odd(PLAIN + "24.12.2025;B-", 21, {}, set_aside=1),
    "an export of a spreadsheet": Odd(
        EXCEL, 19, {"skipLines": 2, "footer": f"{EMPTY_ROWS}|Summe;"}, ("lines 1 to 2", "lines 23 to 24")
    ),
    "no header, dates and ids": Odd(
        HEADLESS,
        20,
        NONE,
        ("line 1 looks like the rows below it ('01.12.2025')", "files of this feed are those named odd.csv"),
        ["column_1", "column_2", "column_3"],
        holds={"extra": {"column_2": "B-0", "column_3": "0,50"}},
    ),
    "no header, numbers only": Odd(table("{n};{n}5;7{n}", header=""), 10, NONE),
    "no header, one number more each": Odd("1,2,3\n4,5,6\n7,8,9\n", 3, NONE),
    "no header, text only": Odd(table("red;on;{n}x", "blue;off;{n}y", header=""), 20, NONE),
    "no header, pipes": Odd(HEADLESS.replace(";", "|"), 20, NONE),
    "no header, a separator of several characters": Odd(HEADLESS.replace(";", "||"), 20, NONE),
    "no header, totals and a title": Odd(
        "Umsatz\n" + HEADLESS + "Total;;7\n", 20, NONE | {"skipLines": 1, "footer": "Total;"}
    ),
    "no header, UTF-16 without a mark": Odd(HEADLESS.encode("utf-16-le"), 20, NONE),
    "no header, compressed": Odd(gzip.compress(HEADLESS.encode(), mtime=0), 20, NONE, suffix=".csv.gz"),
    "no header, one row": Odd("2025-12-24,B-1,9.50\n", 1, NONE),
    "no header, one column": Odd("2025-12-24\n2025-12-25\n", 2, NONE, names=["column_1"]),
    "no header, a null first": Odd("NULL,2025-12-24,a\n1,2025-12-25,b\n2,2025-12-25,c\n", 3, NONE),
    "a first line of empty cells": Odd(",,\n1,2025-12-24,3\n2,2025-12-24,4\n", 2, NONE | {"skipLines": 1}),
    "hundreds of columns without a header": Odd((",".join(["2025-12-24", *["7"] * 299]) + "\n") * 3, 3, NONE),
    "a line of units": Odd(
        table("{day};{n};{n},5", header="Zeit;Gewicht;Preis\n;kg;EUR"),
        10,
        {"headerLines": 2},
    ),
    "a line of units for each column": Odd(
        table("{day};{n};{n},5", header="Zeit;Gewicht;Preis\n[UTC];[kg];[EUR]"),
        10,
        {"headerLines": 2},
        ("lines 1 to 2 are taken for one header: names such as 'Zeit [UTC]'",),
        ["Zeit [UTC]", "Gewicht [kg]", "Preis [EUR]"],
    ),
    "merged cells above the names": Odd(
        table("{day};{n};{n}1;{n};{n}2", header=";Berlin;;Bonn;\nZeit;Menge;Umsatz;Menge;Umsatz"),
        10,
        {"headerLines": 2},
        ("'Berlin Menge'",),
        ["Zeit", "Berlin Menge", "Berlin Umsatz", "Bonn Menge", "Bonn Umsatz"],
    ),
    "names that are there twice": Odd(
        table("{day};{n};{n},5", header="Zeit;Preis;Preis"),
        10,
        {"header": "ignore"},
        ("line 1 seems to name the columns, but it names 'preis' more than once",),
        ["Zeit", "Preis", "Preis_2"],
    ),
    "names that differ by case and blanks": Odd("when,A, a\n2025-12-24,1,2\n", 1, {"header": "ignore"}),
    "names with line breaks that are there twice": Odd(
        'when,"a\nb","a\nb"\n2025-12-24,1,2\n2025-12-24,3,4\n', 2, {"header": "ignore", "headerLines": 3}
    ),
    "names whose quotes do not fit": Odd(
        table("{day};{n};{n},5", header='Zeit;"Menge"x;Preis'),
        10,
        {"header": "ignore"},
        ("but its quotes do not fit",),
        ["Zeit", "Mengex", "Preis"],
    ),
    "a separator behind each row": Odd(
        table("{day};{n};{n},5;"),
        10,
        {"header": "ignore"},
        ("it has 3 fields, and the rows 4",),
        ["Zeit", "Artikel", "Preis", "column_4"],
    ),
    "a separator behind each line": Odd(table("{day};{n};{n},5;", header="Zeit;Artikel;Preis;"), 10, {}),
    "a separator behind the names alone": Odd(
        table("{day};{n};{n},5", header="Zeit;Artikel;Preis;"),
        10,
        {"header": "ignore"},
        (),
        ["Zeit", "Artikel", "Preis"],
    ),
    "rows with names of their own": Odd(
        table('"{n}";{day};{n}1;{n},5'), 10, {"header": "ignore"}, ("it has 3 fields, and the rows 4",)
    ),
    "rows with names of their own, and a column without values": Odd(
        table('"{n}";{day};{n};NA'), 10, {"header": "ignore"}, (), ["column_1", "column_2", "column_3", "column_4"]
    ),
    "years as names": Odd("Stand,Ort,2023,2024,2025\n2025-12-24,a,1,2,3\n2025-12-24,b,4,7,6\n", 2),
    "numbered days as names": Odd("Stand,1,2,3,4\n2025-12-24,9,7,3,1\n2025-12-25,4,7,6,5\n", 2),
    "names with blanks": Odd(" Time of day , Name of it \n2025-12-24,a\n2025-12-25,b\n", 2),
    "an empty name for a column of numbers": Odd(",when\n0,2025-12-24\n1,2025-12-25\n", 2),
    "names only": Odd("when,what\n", 0),
    "one column": Odd("when\n2025-12-24\n2025-12-25\n", 2),
    "one column of decimals": Odd("Preis\n9,50\n1.234,50\n7,00\n", 3, names=["Preis"]),
    "no header, numbers that could be decimals": Odd("1,25\n2,50\n3,75\n", 3, NONE, names=["column_1", "column_2"]),
    "one row": Odd("when,what\n2025-12-24,a\n", 1),
    "texts with commas in one column": Odd("note\nfoo, bar\nbaz\nqux, quux, x\nfoo\nbar\nbaz\n", 6, set_aside=2),
    "quotes everywhere": Odd('"when","what"\n"2025-12-24","a"\n"2025-12-25","b"\n', 2),
    "rows that begin with #": Odd(
        table("#{n} Mug;{day};{n},5;", "{n} Cup;{day};{n},5;a", header="Artikel;Zeit;Preis;Note"), 20
    ),
    "names that begin with #": Odd(
        table("{day}\ta\t{n}.5", header="#time\tuser\tprice"), 10, names=["#time", "user", "price"]
    ),
    "comments": Odd(
        "# Report: Pages\n# Start: 20261101\n" + PLAIN + "# end\n",
        20,
        {},
        ("lines that begin with # are passed over as comments: 3 of the first 24, such as line 1, '# Report: Pages'",),
    ),
    "repeated names between the rows": Odd(
        "when,what,n\n" + ("2025-12-24,a,1\n" * 60 + "when,what,n\n") * 2 + "2025-12-24,b,2\n", 123, set_aside=2
    ),
    "rows that lack what others have, last": Odd(table("{day};{n};{n},5", "{day};;"), 20),
    "words for null in all columns": Odd(
        "when,what,n\n2025-12-24,NULL,NULL\n2025-12-24,a,1\nNULL,b,NULL\n" + "2025-12-24,b,7\n" * 20,
        23,
        {"nulls": ["", "NULL"]},
        ("'NULL' is taken for no value, as nearly all columns have it",),
        set_aside=1,
    ),
}


@pytest.fixture
def loader(own_contracts: Settings, epoch: int) -> Any:
    made = FileLoader(own_contracts, epoch)
    yield made
    made.close()


@pytest.mark.parametrize("kind", FILES)
def test_a_file_laid_out_oddly_loads_under_its_own_draft(
    kind: str,
    tmp_path: Path,
    own_contracts: Settings,
    loader: FileLoader,
    land: Callable[..., int],
    connection: Connection,
) -> None:
    odd = FILES[kind]
    path = tmp_path / f"odd{odd.suffix}"
    path.write_bytes(odd.data.encode() if isinstance(odd.data, str) else odd.data)
    drafted = loaded_under_its_draft(path, own_contracts, loader, land)
    assert _layout(drafted) == odd.layout
    assert drafted.set_aside == odd.set_aside, drafted.notes
    assert recorded(connection) == odd.rows
    questions = [str(finding) for finding in drafted.findings if finding.question]
    assert not [text for text in odd.asks if not any(text in question for question in questions)], questions
    contract = parse_contract(_usable(drafted), Path("odd.odcs.yaml"))
    assert odd.names is None or [column.name for column in contract.read_columns] == odd.names
    recount(connection)
    for column, value in (odd.holds or {}).items():
        found = connection.execute("SELECT * FROM events ORDER BY record_number").fetchall()
        assert found[0][column] == value


def recorded(connection: Connection) -> int:
    """How many records the ledger says the file has."""
    row = connection.execute("SELECT rows_read FROM ledger.files").fetchone()
    assert row is not None
    return int(row["rows_read"])


def _layout(drafted: Draft) -> dict[str, Any]:
    """What the draft says of the files' layout, and of nulls."""
    custom = {each["property"]: each["value"] for each in yaml.safe_load(drafted.text).get("customProperties", [])}
    parts = ("skipLines", "header", "headerLines", "footer", "nulls")
    return {name: value for name, value in custom.get("csv", {}).items() if name in parts}


def _usable(drafted: Draft) -> str:
    document = yaml.safe_load(drafted.text)
    if drafted.missing:
        moment = {"name": "no time", "physicalName": "event_time", "logicalType": "timestamp"}
        document["schema"][0]["properties"].append({**moment, "transformLogic": "landed_at()"})
    return yaml.safe_dump(document)
