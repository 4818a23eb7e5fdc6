"""`make contract FILE=folder/`: one draft of each feed in it, under which its files load; how they differ is told."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from sluice.base.settings import Settings
from sluice.cli.main import main
from sluice.contracts.draft_columns import Draft
from sluice.contracts.draft_folder import draft_feed
from sluice.contracts.folder import read_contracts
from sluice.contracts.folder_feeds import Feed, feeds_of
from sluice.contracts.folder_looks import in_order, looks_at
from sluice.contracts.parse import parse_contract
from sluice.loading.load_file import FileLoader
from tests.integration.conftest import Land
from tests.loading import Connection, recount

HEADER = "order_id,time,client_id,sku,price"
Change = Callable[[int, str], str]


def day(n: int, rows: int = 30) -> str:
    """The orders of one day of January: ids of their own, whole prices every fifth row."""
    lines = [
        f"B-{n}-{i},2026-01-{n:02d} 10:{i:02d}:00,u{i % 9},A{i % 4},{i}.{'00' if i % 5 else '50'}" for i in range(rows)
    ]
    return "\n".join([HEADER, *lines]) + "\n"


def write_days(folder: Path, days: int, **changed: str | bytes) -> Path:
    """A folder of so many days; ``changed`` are the contents of some, as d3."""
    folder.mkdir(exist_ok=True)
    for n in range(1, days + 1):
        data = changed.get(f"d{n}", day(n))
        (folder / f"sales-2026-01-{n:02d}.csv").write_bytes(data.encode() if isinstance(data, str) else data)
    return folder


def feeds(folder: Path) -> list[Feed]:
    return feeds_of(looks_at(list(folder.iterdir()))[0], None)


def drafted(folder: Path) -> Draft:
    [feed] = feeds(folder)
    return draft_feed(feed)


def said(made: Draft, *parts: str) -> bool:
    return any(all(part in note for part in parts) for note in made.notes)


@pytest.fixture
def loads_all(own_contracts: Settings, epoch: int, land: Land) -> Callable[[Path], tuple[int, int]]:
    """Loads every file of a folder; how many rows were loaded and set aside."""

    def load(folder: Path) -> tuple[int, int]:
        loader = FileLoader(own_contracts, epoch)
        tallies = [loader.load(land(path.read_bytes(), path.name)) for path in in_order(folder.iterdir())]
        loader.close()
        assert [tally.state for tally in tallies] == ["loaded"] * len(tallies)
        assert not any(tally.rows_duplicate for tally in tallies)
        return sum(tally.rows_loaded for tally in tallies), sum(tally.rows_rejected for tally in tallies)

    return load


def without(text: str, column: str) -> str:
    rows = [line.split(",") for line in text.splitlines()]
    place = rows[0].index(column)
    return "".join(",".join(row[:place] + row[place + 1 :]) + "\n" for row in rows)


def test_files_that_differ_load_under_their_one_draft(
    tmp_path: Path, own_contracts: Settings, loads_all: Callable[[Path], tuple[int, int]], connection: Connection
) -> None:
    folder = write_days(
        tmp_path / "days",
        12,
        d1=day(1).replace("client_id", "clientId"),
        d2=day(2).replace("client_id", "clientId"),
        d5=gzip.compress(day(5).encode()),
        d7=without(day(7), "price"),
        d9=day(9).replace(",u3,", ",Zoë,").encode("cp1252"),
        d10="\ufeff" + day(10),
        d11="\n".join(f"{line},{'x' if i else 'coupon'}" for i, line in enumerate(day(11).splitlines())),
        d12=day(12).replace("2.00", "zwei"),
    )
    (folder / "sales-2026-01-05.csv").rename(folder / "sales-2026-01-05.csv.gz")
    assert main(["contract", str(folder), "--output", str(own_contracts.contracts_dir)]) == 0
    [text] = [path.read_text() for path in own_contracts.contracts_dir.glob("sales*")]
    rejected = sum(1 for line in day(12).splitlines() if "2.00" in line)
    assert f"{rejected} of 360 rows of the sample are set aside" in text
    assert loads_all(folder) == (360 - rejected, rejected)
    recount(connection)
    users = {row["user_id"] for row in connection.execute("SELECT DISTINCT user_id FROM events").fetchall()}
    assert users == {*(f"u{i}" for i in range(9)), "Zoë"}


def test_a_column_that_not_all_files_have_is_optional_and_its_first_file_is_named(tmp_path: Path) -> None:
    made = drafted(
        write_days(
            tmp_path / "days", 6, d5=without(day(5), "price"), d6=without(day(6), "price"), d1=without(day(1), "sku")
        )
    )
    assert said(made, "price: is gone from sales-2026-01-05.csv on: 4 of 6 files have it, so it is optional")
    assert said(made, "sku: is new from sales-2026-01-02.csv on: 5 of 6 files have it, so it is optional")
    columns = {c["name"]: c for c in yaml.safe_load(made.text)["schema"][0]["properties"]}
    assert "required" not in columns["price"]
    assert columns["time"]["required"]


def test_a_renamed_column_is_one_with_a_synonym_and_asked_about(tmp_path: Path) -> None:
    folder = write_days(tmp_path / "days", 4, d1=day(1).replace("client_id", "clientId"))
    made = drafted(folder)
    contract = parse_contract(made.text, Path("sales.odcs.yaml"))
    assert [column.names for column in contract.columns if column.target == "user_id"] == [("client_id", "clientid")]
    assert "# ? clientId looks like it and is there no more from sales-2026-01-02.csv on" in made.text
    assert made.set_aside == 0


def test_types_are_what_nearly_all_values_of_all_files_are_and_the_line_that_differs_is_named(tmp_path: Path) -> None:
    made = drafted(write_days(tmp_path / "days", 6, d4=day(4).replace(",7.00", ",sieben")))
    assert said(made, "price: 179 of 180 fit numbers; line 9 of sales-2026-01-04.csv does not: 'sieben'")
    assert said(made, "sales-2026-01-04.csv: 1 of 30 rows are set aside, first line 9 (price.type)")


def test_a_file_whose_values_are_written_otherwise_is_named_with_its_line(tmp_path: Path) -> None:
    german = day(3).replace("2026-01-03", "03.01.2026")
    made = drafted(write_days(tmp_path / "days", 30, d3=german))
    assert said(
        made, "time: ISO 8601 in 29 of 30 files, but dd.MM.yyyy HH:mm:ss in sales-2026-01-03.csv (line 2: '03.01."
    )
    assert said(made, "sales-2026-01-03.csv: 30 of 30 rows are set aside, first line 2 (time.type)")


def test_shares_of_nulls_that_jump_and_numbers_of_rows_are_told(tmp_path: Path) -> None:
    made = drafted(write_days(tmp_path / "days", 6, d2=day(2, rows=3), d4=empty(day(4))))
    assert said(made, "client_id: 100 % null in sales-2026-01-04.csv; usual are 0 %")
    assert said(made, "rows of a file: least 3 (sales-2026-01-02.csv), median 30, most 30")
    assert said(made, "far from the median of rows: sales-2026-01-02.csv")


def empty(text: str, column: int = 2) -> str:
    """The same rows without a value in that column."""
    header, *rows = (line.split(",") for line in text.splitlines())
    emptied = [",".join([*row[:column], "", *row[column + 1 :]]) for row in rows]
    return "\n".join([",".join(header), *emptied]) + "\n"


def test_a_share_of_nulls_that_is_another_from_some_file_on_is_told_so(tmp_path: Path) -> None:
    made = drafted(write_days(tmp_path / "days", 6, d4=empty(day(4)), d5=empty(day(5)), d6=empty(day(6))))
    assert said(made, "client_id: 100 % null from sales-2026-01-04.csv on, 0 % before")


def test_a_share_of_nulls_that_always_varies_does_not_jump(tmp_path: Path) -> None:
    changed = {f"d{n}": day(n).replace(",u", ",", n * 4) for n in range(1, 8)}
    assert not said(drafted(write_days(tmp_path / "days", 7, **changed)), "null")


def test_of_a_file_of_mixed_values_the_first_that_is_otherwise_is_named(tmp_path: Path) -> None:
    mixed = day(2).replace(".00", "")
    mixed = mixed.replace(",6\n", ",sechs\n").replace(",8\n", ",acht\n").replace(",9\n", ",neun\n")
    made = drafted(write_days(tmp_path / "days", 3, d2=mixed))
    assert said(made, "price: numbers in 2 of 3 files, but text in sales-2026-01-02.csv (line 8: 'sechs')")


def test_without_a_column_of_events_something_is_required_so_that_files_with_fewer_columns_still_match(
    tmp_path: Path, own_contracts: Settings, loads_all: Callable[[Path], tuple[int, int]], connection: Connection
) -> None:
    folder = tmp_path / "stock"
    folder.mkdir()
    for n in range(3):
        names, cells = ("a,b,c", f"{n},2,3") if n else ("a,b", "0,2")
        (folder / f"stock-{n}.csv").write_text(f"{names}\n{cells}\n")
    assert main(["contract", str(folder), "-o", str(own_contracts.contracts_dir), "--arrival"]) == 0
    assert loads_all(folder) == (3, 0)
    recount(connection)


def test_files_of_one_day_that_do_not_differ_ask_and_warn_of_nothing(tmp_path: Path) -> None:
    made = drafted(write_days(tmp_path / "days", 3))
    assert [finding.where for finding in made.findings if finding.question] == ["order_id", "time"]
    assert not said(made, "files have it")
    assert not said(made, "null in")
    assert made.set_aside == 0


REFUNDS = "refund,at,reason\nR1,2026-01-01 10:00:00,broken\nR2,2026-01-02 10:00:00,late\n"


def test_several_feeds_get_a_draft_each_and_each_file_goes_to_its_own(
    tmp_path: Path,
    own_contracts: Settings,
    loads_all: Callable[[Path], tuple[int, int]],
    connection: Connection,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = write_days(tmp_path / "days", 4, d2=day(2).replace(",", ";"))
    (folder / "refunds-1.csv").write_text(REFUNDS)
    assert main(["contract", str(folder), "--output", str(own_contracts.contracts_dir)]) == 0
    assert "go to contract" not in capsys.readouterr().err
    assert loads_all(folder) == (122, 0)
    query = "SELECT contract, count(*) AS files FROM ledger.files GROUP BY 1 ORDER BY 1"
    found = {row["contract"]: row["files"] for row in connection.execute(query).fetchall()}
    assert found == {"refunds": 1, "sales": 3, "sales_2": 1}


def test_a_feed_whose_columns_are_some_of_another_one_gets_its_own_files(
    tmp_path: Path, own_contracts: Settings, loads_all: Callable[[Path], tuple[int, int]], connection: Connection
) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    for n in range(1, 4):
        at = f"2026-01-0{n} 10:00:00"
        (folder / f"visits-{n}.csv").write_text(f"time,place\n{at},x\n{at},y\n")
        (folder / f"orders-{n}.csv").write_text(f"time,place,a,b,c\n{at},x,1,,3\n{at},y,2,5,3\n")
    assert main(["contract", str(folder), "-o", str(own_contracts.contracts_dir)]) == 0
    assert loads_all(folder) == (12, 0)
    query = "SELECT contract, count(*) AS files FROM ledger.files GROUP BY 1 ORDER BY 1"
    found = {row["contract"]: row["files"] for row in connection.execute(query).fetchall()}
    assert found == {"orders": 3, "visits": 3}


def monthly(n: int, title: str = "Umsatz im Januar\n\n") -> str:
    rows = "".join(f"{i};2026-01-{n:02d} 10:{i:02d};A{i};{i},50\n" for i in range(1, 30))
    return f"{title}Nr;Zeit;Artikel;Preis\n{rows}Summe;;;{n}00,00\n"


def test_titles_and_totals_of_all_files_are_passed_over_and_a_file_without_a_title_is_another_feed(
    tmp_path: Path,
    own_contracts: Settings,
    loads_all: Callable[[Path], tuple[int, int]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "umsatz"
    folder.mkdir()
    for n in range(1, 6):
        (folder / f"umsatz-{n:02d}.csv").write_text(monthly(n, "" if n == 4 else f"Umsatz vom {n}. Januar\n\n"))
    assert main(["contract", str(folder), "-o", str(own_contracts.contracts_dir)]) == 0
    said_so = capsys.readouterr().err
    assert "umsatz-04.csv; the header is the same, but they are written with skipLines 0, not 2" in said_so
    assert loads_all(folder) == (5 * 29, 0)


def test_another_feed_is_named_with_the_command_to_draft_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_days(tmp_path / "days", 4, d2=day(2).replace(",", ";"))
    (folder / "refunds-1.csv").write_text(REFUNDS)
    assert main(["contract", str(folder)]) == 0
    printed = capsys.readouterr()
    assert yaml.safe_load(printed.out)["name"] == "sales"
    assert "3 of 5 files are one feed, sales: sales-2026-01-01.csv to sales-2026-01-04.csv" in printed.err
    assert (
        "this file looks like another feed, refunds: refunds-1.csv; their columns are refund, at, reason" in printed.err
    )
    assert "the header is the same, but they are written with separator ';', not ','" in printed.err
    assert f"make contract FILE={folder} NAME=refunds" in printed.err
    assert main(["contract", str(folder), "--name", "refunds"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["name"] == "refunds"
    assert main(["contract", str(folder), "--name", "nothing"]) == 1
    assert "choose one of sales, " in capsys.readouterr().err


def test_files_that_no_second_contract_could_be_told_apart_for_are_named_with_the_remedy(tmp_path: Path) -> None:
    folder = write_days(
        tmp_path / "days",
        5,
        d1=day(1).replace(",u3,", ",Zoë,"),
        d2=day(2).replace(",u3,", ",Zoë,"),
        d4=day(4).replace(",u3,", ",Zoë,").encode("cp1252"),
    )
    [feed] = feeds(folder)
    assert [look.name for look in feed.others] == ["sales-2026-01-04.csv"]
    assert said(
        draft_feed(feed), "sales-2026-01-04.csv: is written with encoding 'cp1252', not 'utf-8', and its header"
    )


def test_what_incoming_would_not_take_and_what_is_no_table_is_named_with_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_days(tmp_path / "days", 2)
    (folder / "_half.csv").write_text(day(3))
    (folder / "book.xlsx").write_bytes(b"PK")
    (folder / "empty.csv").write_text("")
    assert main(["contract", str(folder)]) == 0
    told = capsys.readouterr().err
    assert "_half.csv: its name says that it is not finished" in told
    assert "book.xlsx: it is a workbook" in told
    assert "empty.csv is empty: a contract is drafted from a file with a header" in told


def test_a_folder_without_a_table_is_exit_code_1_and_without_a_moment_3(
    tmp_path: Path, own_contracts: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "stock"
    folder.mkdir()
    assert main(["contract", str(folder)]) == 1
    assert "has no file that a contract could be drafted from" in capsys.readouterr().err
    for n in range(3):
        (folder / f"stock-{n}.csv").write_text(f"sku,count\nA{n},1\nA{n + 1},2\n")
    assert main(["contract", str(folder), "-o", str(own_contracts.contracts_dir)]) == 3
    assert main(["contract", str(folder), "-o", str(own_contracts.contracts_dir), "--arrival"]) == 0
    names = {path.name for path in own_contracts.contracts_dir.glob("stock*")}
    assert names == {"stock.odcs.yaml", "stock.odcs.yaml.draft"}


def test_nothing_is_written_when_one_of_the_files_is_there(tmp_path: Path, own_contracts: Settings) -> None:
    folder = write_days(tmp_path / "days", 2)
    (folder / "refunds-1.csv").write_text(REFUNDS)
    output = tmp_path / "drafts"
    output.mkdir()
    (output / "refunds.odcs.yaml").write_text("precious")
    assert main(["contract", str(folder), "-o", str(output)]) == 1
    assert [path.name for path in output.iterdir()] == ["refunds.odcs.yaml"]


def test_files_without_names_but_with_titles_and_totals_load_under_their_one_draft(
    tmp_path: Path, own_contracts: Settings, loads_all: Callable[[Path], tuple[int, int]], connection: Connection
) -> None:
    folder = tmp_path / "tills"
    folder.mkdir()
    for n, total in enumerate(("Summe;;{}", "(20 rows)", "Summe;;{}"), start=1):
        rows = "".join(f"0{n}.12.2025 10:{i:02d};B-{n}-{i};{i},50\n" for i in range(20))
        (folder / f"till-2025-12-0{n}.csv").write_text(f"Umsatz vom {n}.12.2025\n{rows}{total.format(n)}\n")
    assert main(["contract", str(folder), "--output", str(own_contracts.contracts_dir)]) == 0
    contract = next(each for each in read_contracts(own_contracts.contracts_dir).usable if each.name == "till")
    assert (contract.layout.header, contract.layout.skip_lines, contract.files) == ("none", 1, ("till-*.csv",))
    assert loads_all(folder) == (60, 0)
    recount(connection)


def test_an_id_that_comes_again_in_another_file_is_no_id(tmp_path: Path) -> None:
    folder = write_days(tmp_path / "days", 3, d3=day(2).replace("2026-01-02", "2026-01-03"))
    assert "record_id(file_sha256, record_number)" in drafted(folder).text
    assert "feed_id('sales', order_id)" in drafted(write_days(tmp_path / "others", 3)).text
