"""Whatever file a contract is drafted from: it loads under the draft, and what does not is counted in the notes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from sluice.base.settings import Settings
from sluice.contracts.draft import draft
from sluice.contracts.draft_columns import Draft
from sluice.contracts.profile import ProfileError
from sluice.loading.load_file import FileLoader
from tests.loading import Connection, recount
from tests.public_data import PUBLIC_DATA, needs

TABLES = sorted(
    path
    for pattern in (
        "online_retail/by-day/*1.csv",
        "online_retail/*.csv",
        "nasty_messytables/*",
        "nasty_csv_spectrum/csvs/*",
        "rees46/*.csv",
    )
    for path in PUBLIC_DATA.glob(pattern)
    if path.suffix != ".md"
)
NO_TABLES = {
    "simple.unknown": "is empty",
}


@dataclass(frozen=True)
class Odd:
    """A file, how many of its rows do not load under its draft, and what the draft must say or its events must hold."""

    data: str | bytes
    set_aside: int = 0
    says: tuple[str, ...] = ()
    holds: dict[str, Any] | None = None


def rows(*cells: str, times: int = 40, header: str = "when;what", separator: str = ";") -> str:
    """A table of two columns, moments and ``cells`` in turn."""
    day = [f"{n % 28 + 1:02d}.{n % 12 + 1:02d}.2025 18:05" for n in range(times)]
    lines = [f"{day[n]}{separator}{cells[n % len(cells)]}" for n in range(times)]
    return "\n".join([header, *lines]) + "\n"


def with_one(bad: str, column: int = 0, times: int = 781) -> str:
    """A table of dates and prices, of which one cell on line 402 is ``bad``."""
    lines = [[f"{n % 28 + 1:02d}.12.2025 18:05", f"{n % 97},{n % 90 + 10}", str(n)] for n in range(times)]
    lines[400][column] = bad
    return "Zeit;price;Stück\n" + "".join(";".join(line) + "\n" for line in lines)


def wide(columns: int, cell: str) -> str:
    header = ",".join(["time", *(f"c{i}" for i in range(columns))])
    return header + "\n" + "".join("2026-01-01 10:00:00" + f",{cell}" * columns + "\n" for _ in range(5))


QUOTED = '"event_time","event_type","user_id"\n' + "".join(
    f'"2026-01-01 10:00:{n % 60:02d}","{"view" if n % 3 else "cart"}","{"" if n % 2 else f"u{n}"}"\n'
    for n in range(200)
)
FILES = {
    "quoted with empty quotes": Odd(QUOTED),
    "a few rows without a type": Odd(
        QUOTED.replace('"cart"', '""', 3), 3, says=("3 rows of the sample break event_type",)
    ),
    "enum beside empty quotes": Odd(
        "time,colour\n" + '"2026-01-01","red"\n"2026-01-02","blue"\n"2026-01-02",""\n' * 40,
        says=("colour: only the 2",),
    ),
    "one bad date": Odd(
        with_one("gestern"),
        1,
        says=(
            "Zeit: 780 of 781 fit dd.MM.yyyy HH:mm; line 402 does not: 'gestern'",
            "1 rows of the sample break Zeit.type",
        ),
    ),
    "one bad price": Odd(with_one("teuer", 1), 1, says=("price: 780 of 781 fit numbers; line 402 does not: 'teuer'",)),
    "one bad number in extra": Odd(with_one("viele", 2), 0, says=("Stück: 780 of 781 fit whole numbers; line 402",)),
    "a price with a currency": Odd(with_one("4,90 €", 1), holds={"price": "4.9"}),
    "dollars": Odd(rows("$9.50", "$1,200.00", "-$3.00", header="when;price"), holds={"price": "9.5"}),
    "thousands dots": Odd(rows("1.001,50", "9,50", header="when;price"), holds={"price": "1001.5"}),
    "thousands blanks and euros": Odd(rows("1 234,50 €", "3 €", header="when;price"), holds={"price": "1234.5"}),
    "no-break blanks": Odd(rows("1\u202f234,50\u00a0€", header="when;price"), holds={"price": "1234.5"}),
    "accounting negatives": Odd(
        rows("(9.50)", "9.50", header="when;price"), says=("price: '(9.50)' looks like a neg",)
    ),
    "thousand or decimals": Odd(
        rows("1,234", "5,678", header="when;price"), says=("price: '1,234' is read as a number",)
    ),
    "null words as customers": Odd(
        rows("NULL", "\\N", "NA", "-", "u1", header="when;user_id"),
        says=("are taken for no value",),
        holds={"user_id": None},
    ),
    "null words in numbers": Odd(rows("n/a", "7", header="when;quantity"), holds={"quantity": None}),
    "Namibia": Odd(rows("NA", "DE", "FR", "IT", "ES", "PT", header="when;country"), holds={"extra": "NA"}),
    "one value": Odd(rows("shop", times=200)),
    "codes are no enum": Odd(rows("A1", "A2", times=200)),
    "words": Odd(rows("red", "blue", times=200), says=("what: only the 2 values",)),
    "blanks": Odd(rows("  ", " red ", "red", "blue ", times=400)),
    "NUL in the header": Odd("time,a\0b\n2026-01-01,1\n2026-01-02,2\n", says=("cannot be described",)),
    "a thousand columns of numbers": Odd(wide(1000, "7"), says=("only 200 of 1,001 columns",)),
    "hundreds of columns of texts": Odd(wide(300, "a b")),
    "hundreds of empty columns": Odd(wide(300, "")),
    "short years": Odd("".join(["date,x\n", *(f"{n:02d}/12/25,{n}\n" for n in range(1, 29))])),
    "short years, ambiguous": Odd(
        "date,x\n03/04/26,1\n05/06/26,2\n", says=("day and month may be the other way round",)
    ),
    "short years first": Odd(
        "".join(["date,x\n", *(f"26-11-{n:02d},{n}\n" for n in range(1, 29))]),
        holds={"event_time": datetime(2026, 11, 1, tzinfo=UTC)},
    ),
    "short years at either end": Odd(
        "date,x\n25/11/26,1\n25/11/26,2\n", says=("dd/MM/yy is a guess: 2 of 2 values fit yy/MM/dd too, the year may",)
    ),
    "UTC by name": Odd("time,x\n2026-01-31 10:00:00 UTC,1\n2026-02-28 10:00:00 UTC,2\n"),
    "thousands dots beside decimal commas": Odd(
        rows("1.234\t9,50", header="when\tprice\ttotal", separator="\t"), says=("price: '1.234' is read as a number",)
    ),
    "a day and its clock": Odd(
        "Date;Time;x\n" + "".join(f"29.11.2026;10:{n:02d};{n}\n" for n in range(30)),
        says=("Date: says the day only, so every event is at midnight; 'Time' ('10:00') seems to be the time of day",),
    ),
    "prices in two formats": Odd(
        "date;price\n" + "2026-01-31;1,50\n2026-01-31;1.50\n" * 9,
        says=("price: is named like price, but is not in one format of numbers ('1,50', '1.50')",),
    ),
    "prices in percent": Odd("date;price\n" + "2026-01-31;5%\n" * 9, says=("price: is named like price",)),
    "broken letters in one row": Odd(
        b"time,x\n" + "2026-01-31,ä\n".encode() * 30 + b"2026-01-31,\xe4\n", 1, holds={"extra": "ä"}
    ),
    "a day beside milliseconds": Odd(
        "date,ts\n" + "".join(f"2026-01-01,{1767225600000 + n * 1000}\n" for n in range(30)),
        says=("ts: is taken for the time of the event; date could be it too",),
    ),
    "two kinds of dates": Odd("date,x\n24.12.2025,1\n24.12.2025 18:05,2\n25.12.2025,3\n26.12.2025 18:05,4\n"),
    "compact dates": Odd("date,x\n20260131,1\n20260228,2\n"),
    "ISO with a zone": Odd("at,x\n2026-01-31T10:00:00+02:00,1\n2026-02-28T10:00:00Z,2\n"),
    "an access log's time": Odd("time,x\n31/Jan/2026:10:00:00 +0100,1\n28/Feb/2026:10:00:00 +0100,2\n"),
    "moments that many rows lack": Odd(
        "time,x\n2026-01-31,1\n,2\n2026-01-31,3\n", 1, says=("33.3 % of the rows have none",)
    ),
    "an empty type": Odd("time,event_type,x\n2026-01-31,,1\n2026-01-31,,3\n"),
    "leading zeros": Odd("time,x\n2026-01-31,007\n2026-01-31,012\n", holds={"extra": "007"}),
    "huge numbers": Odd(f"time,x,price\n2026-01-31,{'9' * 60},{'9' * 20}\n2026-01-31,1.{'1' * 50},0.123456\n"),
    "exponents": Odd("time,x\n2026-01-31,1e5\n2026-01-31,2.5\n"),
    "a byte order mark": Odd("\ufefftime,x\n2026-01-31,ä\n".encode()),
    "wide letters": Odd("\ufefftime\tx\n2026-01-31\tä\n".encode("utf-16-le")),
    "wide letters without a mark": Odd("time\tx\n2026-01-31\tä\n".encode("utf-16-le")),
    "windows letters": Odd("time;x\n2026-01-31;ä\n".encode("cp1252"), says=("cp1252 is a guess",)),
    "line breaks in quotes": Odd('time,x\n2026-01-31,"a\nb"\n2026-01-31,"c ""d"""\n'),
    "records of another width": Odd(
        "time,x\n2026-01-31,1\n2026-01-31\n2026-01-31,2,3\n", 2, says=("2 of 3 records cannot",)
    ),
    "booleans but one": Odd("time,ok\n" + "2026-01-31,true\n" * 30 + "2026-01-31,vielleicht\n"),
    "many feeds' words for yes": Odd("time,a,b,c\n" + "2026-01-31,yes,0,t\n2026-01-31,no,1,f\n" * 30),
    "single quotes": Odd("time,x\n'2026-01-31','a,b'\n'2026-02-28','c'\n"),
    "backslashes": Odd('time,x\n2026-01-31,"a \\" b, c"\n2026-01-31,"d"\n'),
    "a separator of two characters": Odd(rows("a|", "b", separator="||", header="when||what").replace("a|", "a")),
    "a separator of three characters": Odd(rows("a,b", "", separator="~|~", header="when~|~what")),
    "pipes with empty fields": Odd("time|a|b\n2026-01-31||1\n2026-01-31|2|\n", holds={"extra": "2"}),
    "line 1 names the separator": Odd("sep=;\n" + rows("9,50", "1,25"), holds={"extra": "9,50"}),
    "comments above and between": Odd("# exported, by hand\ntime,x\n2026-01-31,1\n# half\n2026-01-31,2\n"),
    "a blank before each quote": Odd(
        'time, "name", "price"\n' + "".join(f'2026-01-31, "x, {n}", "{n}.5"\n' for n in range(1, 30)),
        holds={"price": "1.5"},
    ),
    "a blank before a quote inside a text": Odd('time,x\n2026-01-31,"a, ""b"""\n2026-01-31,c\n'),
    "names that SQL knows": Odd("time,select,file_sha256,record_number,__x,event_id\n2026-01-31,1,2,3,4,5\n"),
}


@pytest.fixture
def loader(own_contracts: Settings, epoch: int) -> Any:
    made = FileLoader(own_contracts, epoch)
    yield made
    made.close()


def loaded_under_its_draft(path: Path, own_contracts: Settings, loader: FileLoader, land: Callable[..., int]) -> Draft:
    """Drafts a contract, loads the file under it, and returns the draft, which must have said what is set aside.

    Where no column is a moment, the contract says one itself.
    """
    drafted = draft(path, "drafted")
    document = yaml.safe_load(drafted.text)
    if drafted.missing:
        moment = {"transformLogic": "TIMESTAMPTZ '2026-01-01 00:00:00Z'", "physicalName": "event_time"}
        document["schema"][0]["properties"].append({"name": "no time", "logicalType": "timestamp", **moment})
    (own_contracts.contracts_dir / "drafted.odcs.yaml").write_text(yaml.safe_dump(document, allow_unicode=True))
    tally = loader.load(land(path.read_bytes(), path.name))
    assert tally.state == "loaded", drafted.text
    assert (tally.rows_rejected, tally.rows_duplicate) == (drafted.set_aside, 0), drafted.notes
    is_said = any(f"{drafted.set_aside:,} of {tally.rows_read:,} rows" in note for note in drafted.notes)
    assert is_said == (drafted.set_aside > 0)
    return drafted


@pytest.mark.parametrize("kind", FILES)
def test_an_odd_file_loads_under_its_own_draft(
    kind: str,
    tmp_path: Path,
    own_contracts: Settings,
    loader: FileLoader,
    land: Callable[..., int],
    connection: Connection,
) -> None:
    odd = FILES[kind]
    path = tmp_path / "odd.csv"
    path.write_bytes(odd.data.encode() if isinstance(odd.data, str) else odd.data)
    drafted = loaded_under_its_draft(path, own_contracts, loader, land)
    assert not drafted.missing
    assert drafted.set_aside == odd.set_aside, drafted.notes
    assert not [text for text in odd.says if not any(text in note for note in drafted.notes)], drafted.notes
    recount(connection)
    for column, value in (odd.holds or {}).items():
        found = [row[column] for row in connection.execute("SELECT * FROM events ORDER BY record_number").fetchall()]
        assert any(_is(one, value) for one in found), found


@needs("online_retail", "nasty_messytables", "nasty_csv_spectrum", "rees46")
@pytest.mark.parametrize("path", TABLES, ids=[str(path.relative_to(PUBLIC_DATA)) for path in TABLES])
def test_a_file_of_the_wild_loads_under_its_own_draft(
    path: Path, own_contracts: Settings, loader: FileLoader, land: Callable[..., int], connection: Connection
) -> None:
    if path.name in NO_TABLES:
        with pytest.raises(ProfileError, match=NO_TABLES[path.name]):
            draft(path)
        return
    loaded_under_its_draft(path, own_contracts, loader, land)
    recount(connection)


def _is(found: Any, expected: Any) -> bool:
    if isinstance(found, dict):
        return expected in found.values()
    return found == expected or (found is not None and str(found).rstrip("0") == str(expected))


@pytest.mark.parametrize(
    ("table", "why"),
    [
        (
            "date,x\n" + "2026-01-31,1\n" * 8 + "0000-00-00,2\n" * 2,
            "('date': 8 of 10 fit ISO 8601, but '0000-00-00' does not)",
        ),
        ("date,x\n" + "31/01/2026,1\n" * 8 + "2026-01-31,2\n" * 2, "('date': 8 of 10 fit dd/MM/yyyy, but '2026-01-31'"),
        (",x\n" + "2026-01-31,1\n" * 3, "(column 1 holds '2026-01-31', but a contract can describe it only by a name"),
    ],
)
def test_a_draft_without_a_moment_says_what_is_almost_one(table: str, why: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.csv"
    path.write_text(table)
    assert why in draft(path).missing[0]


def test_a_day_and_its_clock_load_as_the_question_says(
    tmp_path: Path, own_contracts: Settings, loader: FileLoader, land: Callable[..., int], connection: Connection
) -> None:
    path = tmp_path / "odd.csv"
    path.write_text("Date;Time;x\n" + "".join(f"29.11.2026;10:{n:02d};{n}\n" for n in range(30)))
    drafted = draft(path, "drafted")
    question = next(finding for finding in drafted.findings if "time of day" in finding.text)
    document = yaml.safe_load(drafted.text)
    [properties] = [table["properties"] for table in document["schema"]]
    del next(one for one in properties if one["name"] == "Date")["physicalName"]
    properties.append(yaml.safe_load(question.otherwise.partition("a property ")[2]))
    (own_contracts.contracts_dir / "drafted.odcs.yaml").write_text(yaml.safe_dump(document))
    assert loader.load(land(path.read_bytes(), path.name)).rows_loaded == 30
    [last] = connection.execute("SELECT max(event_time) AS at FROM events").fetchall()
    assert last["at"] == datetime(2026, 11, 29, 10, 29, tzinfo=UTC)
