"""Drafting a contract: what is guessed from a file, and that the draft loads the file it was drafted from."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from sluice.base.settings import PROJECT, Settings
from sluice.contracts.draft import Draft, draft, feed_name, write
from sluice.contracts.judge import Judge
from sluice.contracts.parse import parse_contract
from sluice.contracts.profile import ProfileError
from sluice.loading.load_file import FileLoader
from tests.loading import Connection, recount
from tests.public_data import PUBLIC_DATA, needs

SHOP = """Order No;Bought at;Kunde;SKU;Qty;Unit Price;Note;Paid
A-1;24.12.2025 18:05;17;0012;1;1.234,00;;true
A-2;25.12.2025 18:05;;0013;2;9,50;gift;false
A-3;26.12.2025 18:05;19;0014;3;-;"two
lines";true
""".replace("1.234,00", "1234,00")


def drafted(tmp_path: Path, data: str | bytes, name: str = "shop.csv") -> Draft:
    path = tmp_path / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return draft(path)


def columns(made: Draft) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {c["name"]: c for c in yaml.safe_load(made.text)["schema"][0]["properties"]}
    return found


def test_a_draft_guesses_dialect_types_formats_and_columns(tmp_path: Path) -> None:
    made = drafted(tmp_path, SHOP)
    document = yaml.safe_load(made.text)
    assert document["customProperties"] == [{"property": "csv", "value": {"separator": ";"}}]
    found = columns(made)
    assert found["event_id"]["transformLogic"] == "feed_id('shop', \"Order No\")"
    assert found["Bought at"]["physicalName"] == "event_time"
    assert found["Bought at"]["customProperties"] == [{"property": "formats", "value": ["dd.MM.yyyy HH:mm"]}]
    assert (found["SKU"]["physicalName"], found["SKU"]["logicalType"]) == ("product_id", "string")
    assert (found["Qty"]["physicalName"], found["Qty"]["logicalType"]) == ("quantity", "integer")
    assert {p["property"]: p["value"] for p in found["Unit Price"]["customProperties"]} == {
        "decimalSeparator": ",",
        "valueMap": {"-": None},
    }
    assert found["Paid"]["logicalType"] == "boolean"
    assert found["Note"]["description"].startswith("33.3 % null, 2 different")
    assert found["Note"]["examples"] == ["gift", "two\nlines"]
    assert not made.missing


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_a_sample_of_wide_letters_is_cut_between_two_lines(
    tmp_path: Path, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluice.contracts.profile.SAMPLE_BYTES", 1 << 19)
    row = "2025-12-24,\u0a0d,\u0d0a\n"  # letters whose bytes look like line ends
    made = drafted(tmp_path, ("\ufeff" + "at,one,two\n" + row * 25_000).encode(encoding))
    assert not [note for note in made.notes if "cannot be read" in note]
    assert any("only the first" in note for note in made.notes)


def test_the_draft_loads_the_file_it_was_drafted_from(
    tmp_path: Path, own_contracts: Settings, epoch: int, land: Callable[..., int], connection: Connection
) -> None:
    assert (
        write(_saved(tmp_path), name=None, output=own_contracts.contracts_dir, contracts=own_contracts.contracts_dir)
        == 0
    )
    loader = FileLoader(own_contracts, epoch)
    tally = loader.load(land(SHOP))
    loader.close()
    assert (tally.state, tally.rows_loaded, tally.rows_rejected) == ("loaded", 3, 0)
    rows = connection.execute("SELECT product_id, price, quantity FROM events ORDER BY record_number").fetchall()
    assert [(row["product_id"], row["price"], row["quantity"]) for row in rows] == [
        ("0012", 1234, 1),
        ("0013", 9.5, 2),
        ("0014", None, 3),
    ]
    recount(connection)


def _saved(tmp_path: Path) -> Path:
    path = tmp_path / "shop.csv"
    path.write_text(SHOP)
    return path


@needs("rees46", "online_retail", "nasty_messytables")
@pytest.mark.parametrize(
    ("name", "rejected"),
    [
        ("rees46/2019-Oct_first_rows.csv", 1),
        ("online_retail/by-day/2010-12-06.csv", 0),
        ("online_retail/sample_bom_crlf.csv", 0),
        ("nasty_messytables/characters.csv", 0),
        ("nasty_messytables/complex.csv", 1),
        ("nasty_messytables/example.tsv", 0),
        ("nasty_messytables/simple.csv", 0),
        ("nasty_messytables/simple.ssv", 0),
    ],
)
def test_drafts_of_real_files_load_them(
    own_contracts: Settings, epoch: int, land: Callable[..., int], name: str, rejected: int
) -> None:
    path = PUBLIC_DATA / name
    assert write(path, name="drafted", output=own_contracts.contracts_dir, contracts=own_contracts.contracts_dir) == 0
    loader = FileLoader(own_contracts, epoch)
    tally = loader.load(land(path.read_bytes(), path.name))
    loader.close()
    assert (tally.state, tally.rows_rejected) == ("loaded", rejected)


def test_a_file_without_a_moment_is_drafted_but_not_invented_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "things.csv"
    path.write_text("id,name\n1,a\n2,b\n")
    assert write(path, name=None, output=tmp_path, contracts=PROJECT / "include" / "contracts") == 3
    text = (tmp_path / "things.odcs.yaml.draft").read_text()
    assert "MISSING event_time: no column of the file is a moment in a known format" in text
    assert "event_time: no column of the file" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.odcs.yaml"))


def test_a_draft_never_overwrites_a_contract(tmp_path: Path) -> None:
    (tmp_path / "shop.odcs.yaml").write_text("precious")
    with pytest.raises(FileExistsError):
        write(_saved(tmp_path), name=None, output=tmp_path, contracts=PROJECT / "include" / "contracts")
    assert (tmp_path / "shop.odcs.yaml").read_text() == "precious"


@pytest.mark.parametrize(
    ("data", "name", "value"),
    [
        ("time,x\n1700000000,a\n1700000001,b\n", "event_time", "make_timestamptz(CAST(time * 1000000 AS BIGINT))"),
        ("ts,x\n1700000000123,a\n", "event_time", "make_timestamptz(CAST(ts * 1000 AS BIGINT))"),
    ],
)
def test_seconds_and_milliseconds_since_1970_become_moments(tmp_path: Path, data: str, name: str, value: str) -> None:
    assert columns(drafted(tmp_path, data))[name]["transformLogic"] == value


def test_what_the_draft_is_not_sure_of_is_said(tmp_path: Path) -> None:
    rows = "".join(f"0{day}/0{day}/2026,{'yes' if day % 2 else 'no'},caf\u00e9\n" for day in range(1, 10))
    text = drafted(tmp_path, ("day,answer,place\n" + rows * 5).encode("cp1252")).text
    assert "day: dd/MM/yyyy is a guess: 45 of 45 values fit MM/dd/yyyy too" in text
    assert "answer: only the 2 values of the sample are allowed (enum)" in text
    assert "cp1252 is a guess" in text


def test_a_column_of_uuids_is_the_event_id(tmp_path: Path) -> None:
    rows = "".join(f"00000000-0000-4000-8000-{n:012d},2026-01-0{n}\n" for n in range(1, 4))
    found = columns(drafted(tmp_path, "guid,date\n" + rows))
    assert found["guid"]["physicalName"] == "event_id"
    assert "transformLogic" not in found["guid"]


@pytest.mark.parametrize("header", ["colour'; DROP TABLE x; --", 'a "quoted" name', "名前", "$1", "no", "2026", "a.b"])
def test_any_header_name_can_be_drafted(tmp_path: Path, header: str) -> None:
    quoted = '"' + header.replace('"', '""') + '"'
    made = drafted(tmp_path, f"{quoted},date,order id\nx,2026-01-01,1\ny,2026-01-02,2\n")
    assert not made.missing
    assert header in [column.name for column in parse_contract(made.text, Path("x.odcs.yaml")).columns]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("", "is empty"),
        ("\n\n", "only empty lines, and so no header"),
        ('"a"x,b\n"c"y,2\n', "its quotes do not fit"),
        ('{"a": 1}\n{"a": 2}\n', "is JSON lines: convert it to CSV"),
        ("PK\x03\x04xl/workbook.xml", "is an Excel workbook .* save each sheet as CSV"),
    ],
)
def test_what_is_no_table_is_refused_with_the_remedy(tmp_path: Path, data: str, reason: str) -> None:
    with pytest.raises(ProfileError, match=reason):
        drafted(tmp_path, data)


@pytest.mark.parametrize(
    ("file_name", "name"),
    [("Orders 2026-01-31.csv.gz", "orders"), ("2026-01-31.csv", "feed"), ("Kunden-Export.CSV", "kunden_export")],
)
def test_a_feed_is_named_after_its_file_without_the_date(file_name: str, name: str) -> None:
    assert feed_name(Path(file_name)) == name


def test_a_draft_says_that_cancellations_are_positive_when_they_are(tmp_path: Path) -> None:
    lines = [f"{i},2026-01-01 10:00,{kind},{{sign}}2,p{i}" for i, kind in enumerate(["purchase", "cancellation"] * 3)]
    text = "id,time,event_type,quantity,product\n" + "\n".join(lines) + "\n"
    positive = drafted(tmp_path, text.format(sign=""))
    assert {"property": "cancellations", "value": "positive"} in yaml.safe_load(positive.text)["customProperties"]
    assert any("both are negated" in note for note in positive.notes)
    assert not any("cancellation.sign" in note for note in positive.notes)
    negative = drafted(tmp_path, text.format(sign="-"))
    assert "cancellations" not in str(yaml.safe_load(negative.text).get("customProperties"))


def test_a_draft_tells_the_worst_first_and_shows_rows_and_the_next_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert write(_saved(tmp_path), name=None, output=tmp_path, contracts=PROJECT / "include" / "contracts") == 0
    said = capsys.readouterr().err.replace("sluice: ", "")
    assert said.index("rows load, and may mean something else:") < said.index("the first 3 rows as they would stand")
    assert "  ? Order No: is unique in the sample" in said
    assert '"2025-12-24 18:05:00.000000Z", ' in said
    assert "price 1234.0000, quantity 1" in said
    assert f"next: make load FILE={tmp_path / 'shop.csv'}" in said


def test_the_next_command_can_be_pasted_when_the_name_has_blanks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = _saved(tmp_path).rename(tmp_path / "my shop's.csv")
    assert write(path, name=None, output=None, contracts=PROJECT / "include" / "contracts") == 0
    command = capsys.readouterr().err.partition("next: ")[2].strip()
    assert shlex.split(command)[2] == f"FILE={path}"


def test_the_line_that_a_draft_without_a_moment_asks_for_makes_it_usable(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "things.csv"
    path.write_text("sku,name\n1,a\n2,b\n")
    assert write(path, name=None, output=tmp_path, contracts=PROJECT / "include" / "contracts") == 3
    said = capsys.readouterr().err
    assert "rows as they would stand in events, had the file landed now and its event_time by landed_at()" in said
    assert f'event_time "{datetime.now(UTC):%Y-}' in said
    line = "- {name: event_time, logicalType: timestamp, transformLogic: landed_at()}"
    assert f"`{line}`" in said
    text = (tmp_path / "things.odcs.yaml.draft").read_text()
    contract = parse_contract(text.replace("  properties:\n", f"  properties:\n  {line}\n"), path)
    judge = Judge()
    assert judge.problems(contract) == []
    judge.close()
