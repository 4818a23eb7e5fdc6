"""A feed without a moment: drafted by arrival it loads at once; without ids, other bytes are other rows."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from sluice.base.settings import Settings
from sluice.cli.main import main
from sluice.contracts.draft import draft, write
from sluice.loading.load_file import FileLoader
from tests.integration.conftest import Land
from tests.loading import Connection, recount

STOCK = "guid,sku,count,since\n" + "".join(f"00000000-0000-4000-8000-{n:012d},A{n},{n},2026\n" for n in range(3))


@pytest.fixture
def stock(tmp_path: Path) -> Path:
    path = tmp_path / "stock.csv"
    path.write_text(STOCK)
    return path


def loaded(settings: Settings, epoch: int, file_id: int) -> int:
    loader = FileLoader(settings, epoch)
    tally = loader.load(file_id)
    loader.close()
    assert tally.state == "loaded"
    return tally.rows_loaded


def test_by_arrival_every_row_has_the_moment_at_which_its_file_landed(
    stock: Path, own_contracts: Settings, epoch: int, land: Land, connection: Connection
) -> None:
    folder = own_contracts.contracts_dir
    assert write(stock, name=None, output=folder, contracts=folder) == 3
    assert write(stock, name=None, output=folder, contracts=folder, by_arrival=True) == 0
    assert loaded(own_contracts, epoch, land(STOCK, stock.name)) == 3
    query = "SELECT event_time = landed_at AS same FROM events JOIN ledger.files USING (file_id)"
    assert [row["same"] for row in connection.execute(query).fetchall()] == [True] * 3
    recount(connection)


def test_what_the_file_says_of_time_stays_in_extra_by_arrival(tmp_path: Path) -> None:
    path = tmp_path / "sold.csv"
    path.write_text("sold_at,sku\n2026-01-31,A1\n2026-02-01,A2\n")
    made = draft(path, by_arrival=True)
    assert [row["extra"] for row in made.first_rows] == [{"sold_at": "2026-01-31"}, {"sold_at": "2026-02-01"}]
    assert "event_time: is when the file landed, as was asked for; sold_at stays in extra" in made.notes


def test_the_command_takes_arrival(stock: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["contract", "--arrival", str(stock)]) == 0
    assert "transformLogic: landed_at()" in capsys.readouterr().out


def test_a_gzip_copy_of_a_feed_without_ids_is_the_same_rows_again_and_the_draft_says_so(
    stock: Path,
    own_contracts: Settings,
    epoch: int,
    land: Land,
    connection: Connection,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = own_contracts.contracts_dir
    assert write(stock, name=None, output=folder, contracts=folder, by_arrival=True) == 0
    said = "the same rows in other bytes, such as a gzip copy, load a second time"
    assert said in capsys.readouterr().err
    assert said in (folder / "stock.odcs.yaml").read_text()
    assert loaded(own_contracts, epoch, land(STOCK, "stock.csv")) == 3
    assert loaded(own_contracts, epoch, land(gzip.compress(STOCK.encode()), "stock.csv.gz")) == 3
    recount(connection)


def test_extra_keeps_a_typed_number_as_its_text_and_the_telling_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "weights.csv"
    path.write_text("time,weight\n2026-01-31,1.50\n2026-01-31,2.00\n")
    assert draft(path).first_rows[0]["extra"] == {"weight": "1.50"}
    write(path, name=None, output=None, contracts=tmp_path)
    printed = capsys.readouterr()
    assert "name: weight\n    logicalType: number" in printed.out
    assert "extra keeps a value as the file's own text, numbers too: a type there only checks it" in printed.err
