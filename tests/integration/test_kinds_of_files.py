"""What the ledger says of files that are no CSV, and of headers that no contract can read."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import json
import lzma
import sqlite3
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.feather
import pyarrow.orc
import pyarrow.parquet
import pytest
import yaml

from sluice.base.settings import Settings
from sluice.loading.load_file import FileLoader
from tests.loading import HEADER, Connection, change_contract, event, table

Land = Callable[..., int]
Make = Callable[[Settings], FileLoader]
CSV = table(event(1), event(2)).encode()
ROWS = pa.table({"event_id": ["1", "2"], "event_type": ["purchase", "purchase"]})


def zipped(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, "x" * 100)
    return file.getvalue()


def tarred() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.csv"), io.BytesIO(b""))
    return file.getvalue()


def written_by(write: Callable[[pa.Table, io.BytesIO], object]) -> bytes:
    file = io.BytesIO()
    write(ROWS, file)
    return file.getvalue()


def sqlite(folder: Path) -> bytes:
    connection = sqlite3.connect(folder / "x.db")
    connection.execute("CREATE TABLE a (b)")
    connection.close()
    return (folder / "x.db").read_bytes()


def arrow() -> bytes:
    file = io.BytesIO()
    with pa.ipc.new_file(file, ROWS.schema) as writer:
        writer.write_table(ROWS)
    return file.getvalue()


def kinds(folder: Path) -> list[tuple[str, bytes, str, str]]:
    """(name, bytes, what the error calls the file, a part of the remedy)."""
    workbook = zipped("[Content_Types].xml", "xl/workbook.xml")
    lines = [json.dumps({"event_id": n, "event_type": "purchase"}) for n in range(3)]
    return [
        ("a.csv", workbook, "an Excel workbook (.xlsx)", "save each sheet as CSV"),
        ("a.csv", bytes.fromhex("d0cf11e0a1b11ae1") + bytes(600), "an Excel workbook (.xls)", "save each sheet as CSV"),
        ("a.csv", zipped("a.csv"), "a zip archive", "unpack it"),
        ("a.csv", zipped("[Content_Types].xml", "word/document.xml"), "an Office document", "as CSV"),
        ("a.csv", zipped(), "an empty zip archive", "land the file that was meant to be in it"),
        ("a.csv", gzip.compress(CSV), "gzip data, which its name does not say", "name it ….gz"),
        ("a.csv", bytes(pa.compress(CSV, "zstd")), "zstd data, which its name does not say", "name it ….zst"),
        ("a.csv.gz", gzip.compress(gzip.compress(CSV)), "gzip data inside compressed data", "compress it once only"),
        ("a.csv.gz", CSV, "not compressed as its name says (.gz): it begins as text", "name it without .gz"),
        ("a.csv.zst", CSV, "not compressed as its name says (.zst): it begins as text", "name it without .zst"),
        ("a.csv.gz", workbook, "not compressed as its name says (.gz): it is an Excel workbook", "save each sheet"),
        ("a.csv.gz", gzip.compress(CSV)[:-9], "compressed data breaks off", "compress it again"),
        ("a.csv.gz", gzip.compress(workbook), "an Excel workbook (.xlsx)", "save each sheet as CSV"),
        ("a.csv", bz2.compress(CSV), "bzip2 data", "unpack it"),
        ("a.csv", lzma.compress(CSV), "xz data", "unpack it"),
        ("a.csv", tarred(), "a tar archive", "unpack it"),
        ("a.csv", b"%PDF-1.7\n%\xe2\xe3\n1 0 obj\n", "a PDF", "ask for the table"),
        ("a.csv", "\n".join(lines).encode(), "JSON lines", "convert it to CSV"),
        ("a.csv", json.dumps([{"a": 1}, {"a": 2}], indent=2).encode(), "JSON", "convert it to CSV"),
        ("a.csv", json.dumps({"a": [1, 2]}).encode("utf-16"), "JSON", "convert it to CSV"),
        ("a.csv", b"<!DOCTYPE html>\n<html><body>Log in, please</body></html>", "a web page (HTML)", "login"),
        ("a.csv", b'<?xml version="1.0"?>\n<rows><row id="1"/></rows>', "XML", "convert it to CSV"),
        ("a.csv", written_by(pyarrow.parquet.write_table), "a Parquet file", "as CSV"),
        ("a.csv", written_by(pyarrow.orc.write_table), "an ORC file", "as CSV"),
        ("a.csv", arrow(), "an Arrow file", "as CSV"),
        (
            "a.csv",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a21\nsize 12345\n",
            "a Git LFS pointer",
            "git lfs pull",
        ),
        ("a.csv", CSV.decode().encode("utf-16-le"), "UTF-16 without a byte order mark", "encoding: utf-16-le"),
        ("a.csv", CSV.decode().encode("utf-16-be"), "UTF-16 without a byte order mark", "encoding: utf-16-be"),
        ("a.csv", CSV.decode().encode("utf-32-le"), "UTF-32 without a byte order mark", "encoding: utf-32-le"),
        ("a.csv", sqlite(folder), "an SQLite database", "as CSV"),
        ("a.csv", b"\x89PNG\r\n\x1a\n" + bytes(40), "a PNG image", "as CSV"),
        ("a.csv", b"\xff\xd8\xff\xe0" + bytes(40), "a JPEG image", "as CSV"),
        ("a.csv", b"CREATE TABLE a (b int);\nINSERT INTO a VALUES (1);\n", "SQL statements", "as CSV"),
        ("a.csv", bytes(5000), "nothing but NUL bytes", "land it again"),
        ("a.csv", bytes(range(256)) * 4, "no text (it begins with the bytes 00 01 02", "as CSV"),
    ]


def semicolons(text: str) -> str:
    return text.replace(",", ";")


def quoted(names: str, separator: str = ",", quote: str = '"') -> str:
    return separator.join(f"{quote}{name}{quote}" for name in names.split(","))


def headers() -> list[tuple[str, str, str]]:
    """(file, what the error says, a part of the remedy)."""
    row = event(1)
    return [
        (
            semicolons(table(row)),
            "line 1 looks separated by semicolons: contract events expects commas",
            'separator: ";"',
        ),
        (
            quoted(HEADER, ";") + "\n" + semicolons(row),
            "line 1 looks separated by semicolons: contract events expects commas",
            'separator: ";"',
        ),
        (table(row).replace(",", "\t"), "line 1 looks separated by tabs: contract events expects commas", '"\\t"'),
        (
            quoted(HEADER, ",", "'") + "\n" + row,
            "line 1 looks separated by commas and quoted by ': contract events expects commas and \"",
            'quote: "\'"',
        ),
        ("kunde;artikel;preis\n1;2;3\n", "line 1 looks separated by semicolons, into ['kunde'", "add a contract"),
        ("kunde,artikel,preis\n1,2,3\n", "header ['kunde', 'artikel', 'preis'] fits no contract", "add a contract"),
        (
            quoted(HEADER)[:-1] + '""x\n' + row,
            'line 1 is the header, but its quotes do not fit: the " at character',
            "nothing closes it",
        ),
        (
            '"event_id"x,"event_type"\n' + row,
            "its quotes do not fit: after the \" that closes field 1, at character 10, stands 'x,",
            "correct this line",
        ),
        (
            f'event_id,"event_type,{HEADER}\n{row}',
            'its quotes do not fit: the " at character 10 opens field 2, and nothing closes it',
            "correct this line",
        ),
        (
            f"Orders of November\n\n{HEADER}\n{row}\n",
            "the header of contract events stands in line 3",
            "skipLines: 2",
        ),
        (f"{row}\n{event(2)}\n", "line 1 looks like a row of values ('00000000-", "header: none"),
        ("\n\r\n\n", "the file has no header, only empty lines", "must name the columns"),
        ('"two\nlines",b\n1,2\n', "fits no contract", "add a contract"),
    ]


def test_a_file_that_is_no_csv_is_called_by_its_name_with_the_remedy(
    settings: Settings, epoch: int, land: Land, connection: Connection, tmp_path: Path
) -> None:
    files = [(name, data, [what, remedy]) for name, data, what, remedy in kinds(tmp_path)]
    files += [("a.csv", text.encode(), [what, remedy]) for text, what, remedy in headers()]
    loader, wrong = FileLoader(settings, epoch), []
    for name, data, parts in files:
        file_id = land(data, name)
        tally = loader.load(file_id)
        row = connection.execute("SELECT error FROM ledger.files WHERE file_id = %s", [file_id]).fetchone()
        error = str(row["error"]) if row else ""
        is_said = tally.state == "rejected" and all(part in error for part in parts)
        if not is_said or ("no header" in error and data.strip()):
            wrong.append((data[:40], parts, tally.state, error))
    loader.close()
    assert wrong == []


@pytest.fixture
def made(epoch: int) -> Iterator[Make]:
    """Makes loaders, and closes them."""
    with contextlib.ExitStack() as stack:
        yield lambda settings: stack.enter_context(contextlib.closing(FileLoader(settings, epoch)))


def said(loader: FileLoader, land: Land, connection: Connection, data: bytes, name: str = "a.csv") -> tuple[str, str]:
    """What became of the file, and what the ledger says of it."""
    file_id = land(data, name)
    state = loader.load(file_id).state
    row = connection.execute("SELECT error FROM ledger.files WHERE file_id = %s", [file_id]).fetchone()
    connection.execute("TRUNCATE ledger.files CASCADE")  # the next one may have the same bytes
    return state, str(row["error"]) if row else ""


def test_a_file_that_is_no_csv_is_called_by_its_name_also_when_no_contract_takes_a_file_of_this_name(
    made: Make, own_contracts: Settings, land: Land, connection: Connection, tmp_path: Path
) -> None:
    change_contract(own_contracts, files=["berlin-*.csv"])
    loader, wrong = made(own_contracts), []
    for name, data, what, remedy in kinds(tmp_path):
        state, error = said(loader, land, connection, data, name)
        wrong += [] if state == "rejected" and what in error and remedy in error else [(what, state, error)]
    assert wrong == []


def test_a_file_that_is_no_csv_waits_under_its_name_while_a_contract_is_broken(
    made: Make, own_contracts: Settings, land: Land, connection: Connection, tmp_path: Path
) -> None:
    (own_contracts.contracts_dir / "net.odcs.yaml").write_text("name: [\n")
    loader, wrong = made(own_contracts), []
    texts = [("a.csv", text.encode(), what, remedy) for text, what, remedy in headers()]
    for name, data, what, remedy in kinds(tmp_path) + texts:
        state, error = said(loader, land, connection, data, name)
        is_damaged = state == "rejected" and name != "a.csv"  # not even decompressed: no contract could read it
        is_said = what in error and remedy in error and (is_damaged or "but net.odcs.yaml: " in error)
        wrong += [] if is_said and (is_damaged or state == "landed") else [(what, state, error)]
    assert wrong == []


def test_a_json_file_of_many_names_is_called_json_and_not_too_wide(
    made: Make, own_contracts: Settings, land: Land, connection: Connection
) -> None:
    loader = made(replace(own_contracts, columns_max=100))
    _, error = said(loader, land, connection, json.dumps({f"a{n}": n for n in range(200)}).encode())
    assert error == "the file is JSON: convert it to CSV and land that"


def test_the_header_of_a_contract_that_takes_other_names_is_said(
    made: Make, own_contracts: Settings, land: Land, connection: Connection
) -> None:
    change_contract(own_contracts, files=["berlin-*.csv", "berlin-*.tsv"])
    loader = made(own_contracts)
    assert said(loader, land, connection, CSV) == (
        "rejected",
        "the header is that of contract events, which takes only files named berlin-*.csv or berlin-*.tsv: "
        "name the file so, or change files in the contract",
    )
    assert said(loader, land, connection, b"a,b\n1,2\n") == (
        "rejected",
        "no contract takes a file of this name: name it as the contract's files says, or change files",
    )
    assert said(loader, land, connection, CSV, "berlin-1.csv") == ("loaded", "None")


def test_a_line_that_names_a_separator_is_passed_over_when_it_is_said_what_the_next_one_is(
    made: Make, own_contracts: Settings, land: Land, connection: Connection
) -> None:
    berlin = change_contract(own_contracts)
    berlin["name"] = berlin["id"] = "berlin"
    berlin["schema"][0]["properties"].append({"name": "Filiale", "logicalType": "string", "required": True})
    berlin["customProperties"] = [{"property": "csv", "value": {"separator": ";"}}]
    loader = made(own_contracts)
    named = b"sep=;\n" + semicolons(table(event(1))).encode()
    assert (
        "names the separator ';', which no contract has (expected: events ',')"
        in said(loader, land, connection, named)[1]
    )
    (own_contracts.contracts_dir / "berlin.odcs.yaml").write_text(yaml.safe_dump(berlin))
    assert said(loader, land, connection, named)[1].startswith(
        "line 2 looks separated by semicolons: contract events expects commas"
    )


def test_a_file_that_is_no_csv_is_called_by_its_name_also_where_no_header_tells(
    made: Make, own_contracts: Settings, land: Land, connection: Connection, tmp_path: Path
) -> None:
    change_contract(own_contracts, csv={"header": "none"}, files=["a.csv*"])
    loader, wrong = made(own_contracts), []
    for name, data, what, remedy in kinds(tmp_path):
        state, error = said(loader, land, connection, data, name)
        wrong += [] if state == "rejected" and what in error and remedy in error else [(what, state, error)]
    assert wrong == []
    assert said(loader, land, connection, f"{event(1)}\n".encode()) == ("loaded", "None")


def test_a_header_in_another_encoding_is_said_and_no_other_contract_claims_it(
    made: Make, own_contracts: Settings, land: Land, connection: Connection
) -> None:
    shop = change_contract(own_contracts)
    shop["name"] = shop["id"] = "shop"
    shop["schema"][0].pop("quality", None)
    shop["schema"][0]["properties"] = [
        {"name": "event_id", "logicalType": "string", "transformLogic": "feed_id('shop', Bon)"},
        {"name": "event_type", "logicalType": "string", "transformLogic": "'purchase'"},
        {"name": "Datum", "physicalName": "event_time", "logicalType": "date", "required": True},
        {"name": "Bon", "logicalType": "string"},
        {"name": "Betrag €", "logicalType": "string"},
    ]
    other = yaml.safe_dump(shop | {"id": "other", "name": "other"})
    (own_contracts.contracts_dir / "other.odcs.yaml").write_text(other)
    shop["customProperties"] = [{"property": "csv", "value": {"separator": ";", "skipLines": 1}}]
    shop["schema"][0]["properties"][-1]["required"] = True
    (own_contracts.contracts_dir / "shop.odcs.yaml").write_text(yaml.safe_dump(shop))
    (own_contracts.contracts_dir / "events.odcs.yaml").unlink()
    loader = made(own_contracts)
    file = "Umsatz\nFiliale;Kasse;Bon;Datum;Betrag €\nNord;1;4711;2026-01-01;9\n"
    assert said(loader, land, connection, file.encode("cp1252"))[1].startswith(
        "line 2 looks written in cp1252: contract shop expects utf-8; write the file so, or let the contract say "
        "encoding: cp1252 under csv"
    )
