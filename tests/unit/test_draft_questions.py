"""A guess of a draft stands as a comment beside the line that it is about, with the other choice written out."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
import yaml

from sluice.contracts.draft import draft
from sluice.contracts.parse import parse_contract

DAYS = "day,id,note\n" + "".join(f"0{n}/0{n}/2026,k{n},x\n" for n in range(1, 10))


def drafted(tmp_path: Path, data: str | bytes) -> str:
    path = tmp_path / "feed.csv"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return draft(path, "feed").text


def asked(text: str) -> dict[str, str]:
    """By the line of the draft without its indent: the question in the line above, which has the same indent."""
    lines = text.splitlines()
    pairs = itertools.pairwise(lines)
    found = [(re.match(r"( *)# [?] (.*)", above), line) for above, line in pairs]
    return {line.removeprefix(match[1]): match[2] for match, line in found if match}


@pytest.mark.parametrize(
    ("data", "line", "question"),
    [
        (DAYS, "- property: formats", "dd/MM/yyyy is a guess: 9 of 9 values fit MM/dd/yyyy too"),
        (DAYS, "transformLogic: feed_id('feed', id)", "otherwise: transformLogic: record_id("),
        ("time,user_id\n2026-01-01,NA\n2026-01-01,b\n", "- property: valueMap", "'NA' is taken for no value"),
        ("time;x\n2026-01-01;1,234\n", "- property: decimalSeparator", "'1,234' is read as a number with decimals"),
        ('time,x\n2026-01-01,"1,234"\n', "- property: thousandsSeparator", "read as a number with separators"),
        ("time,x\n2026-01-01,caf\u00e9\n".encode("cp1252"), "encoding: cp1252", "otherwise: encoding: cp850"),
        ("time,date\n2026-01-01 10:00,2026-01-02\n", "physicalName: event_time", "date could be it too"),
    ],
)
def test_a_guess_stands_above_its_line_and_at_the_top(
    tmp_path: Path, data: str | bytes, line: str, question: str
) -> None:
    text = drafted(tmp_path, data)
    assert question in asked(text)[line]
    assert question in text.partition("apiVersion:")[0]


def test_the_other_choice_can_be_put_in_place_of_what_was_guessed(tmp_path: Path) -> None:
    text = drafted(tmp_path, DAYS)
    other = asked(text)["- property: formats"].partition("otherwise: ")[2]
    put = re.sub(r"- property: formats\n +value:\n +- dd/MM/yyyy\n", f"- {other}\n", text)
    contract = parse_contract(put, Path("feed.odcs.yaml"))
    assert next(column.formats for column in contract.columns if column.name == "day") == ("MM/dd/yyyy",)


def test_no_name_in_a_header_breaks_out_of_a_comment(tmp_path: Path) -> None:
    name = "day\x1b[2J\u2028status: retired\x07"
    text = drafted(tmp_path, DAYS.replace("day", name, 1))
    assert yaml.safe_load(text)["status"] == "draft"
    assert [question for question in asked(text).values() if "dd/MM/yyyy is a guess" in question]
    assert "\x1b" not in text


def test_what_is_sure_asks_nothing(tmp_path: Path) -> None:
    assert asked(drafted(tmp_path, "time,sku,event_type\n2026-01-31 10:00Z,a,purchase\n")) == {}


@pytest.mark.parametrize(
    ("moment", "is_asked"),
    [
        ("2026-01-31 10:00", True),
        ("2026-01-31", True),
        ("24.12.2025 18:05", True),
        ("2026-01-31T10:00:00Z", False),
        ("2026-01-31 10:00+01:00", False),
        ("24/Dec/2025:18:05:00 +0100", False),
    ],
)
def test_a_time_without_a_zone_asks_for_it(tmp_path: Path, moment: str, is_asked: bool) -> None:
    questions = " ".join(asked(drafted(tmp_path, f"time,sku\n{moment},a\n")).values())
    assert ("carries no time zone, and counts as UTC; otherwise: {property: timezone" in questions) is is_asked


def test_types_that_reports_do_not_count_are_asked_for(tmp_path: Path) -> None:
    words = "time,action\n2026-01-31Z,view\n2026-01-31Z,purchase\n"
    [question] = [text for text in asked(drafted(tmp_path, words)).values() if "valueMap" in text]
    assert "by name; 'view' are none of them; otherwise: {property: valueMap, value: {view: …}}" in question


def test_numbers_that_reports_would_add_up_are_named_while_they_stay_in_extra(tmp_path: Path) -> None:
    text = drafted(tmp_path, "time,betrag,gewicht,bon\n2026-01-31Z,1.5,7.25,1\n2026-01-31Z,2.5,7.5,2\n")
    assert (
        "'gewicht': kept in extra, which reports do not add up; where one is quantity or price, say so by physicalName"
        in text.replace("\n#     ", " ")
    )


def test_german_names_fill_the_columns_of_events(tmp_path: Path) -> None:
    names = {
        "Kundennr": "user_id",
        "Artikelnr": "product_id",
        "Warengruppe": "category",
        "Menge": "quantity",
        "Einzelpreis": "price",
        "Gesamtbetrag": "total_amount",
        "Zahlungsart": "payment_method",
    }
    text = drafted(tmp_path, f"Zeit;{';'.join(names)}\n24.12.2025 18:05;K1;0012;Möbel;2;1.009,50;2.019,00;bar\n")
    contract = parse_contract(text, Path("feed.odcs.yaml"))
    assert {column.name: column.target for column in contract.columns if column.name in names} == names
