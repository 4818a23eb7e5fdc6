"""What the page's room Quarantine asks: counts by rule, time and file, rejects with what is wrong in them marked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sluice.base.settings import Settings
from sluice.watching import quarantine
from sluice.watching.quarantine import BEFORE_ALL, Chosen
from sluice.watching.reader import Reader
from tests.loading import HEADER, change_contract, event, rejects, table, write_contract
from tests.loading import Connection as Owner

ALL = Chosen()
Ask = Callable[..., Any]


@pytest.fixture
def ask(own_contracts: Settings) -> Iterator[Ask]:
    """Asks as the page does: as the reader, who only reads, each question in a transaction of its own."""
    reader = Reader(own_contracts)

    def asking(question: Any, *asked: Any) -> Any:
        with reader.asking() as connection:
            return question(connection, *asked)

    yield asking
    reader.close()


@pytest.fixture
def three_files(load: Any) -> list[int]:
    """Two files with rejects, one without."""
    return [
        load(table(event(1), event(2, kind="teleport", price="-1"), event(3, price="cheap")), "a.csv"),
        load(table(event(4, kind="teleport"), event(5)), "b.csv"),
        load(table(event(6)), "c.csv"),
    ]


def rows(ask: Ask, settings: Settings, chosen: Chosen = ALL) -> list[dict[str, Any]]:
    return list(ask(quarantine.page, settings, chosen, BEFORE_ALL, 100)["rows"])


def marked(row: dict[str, Any]) -> dict[str, str]:
    return {piece["field"]: piece["text"] for piece in row["pieces"] if piece["field"] is not None}


def text(row: dict[str, Any]) -> str:
    return "".join(piece["text"] for piece in row["pieces"])


def test_a_reject_that_breaks_two_rules_counts_for_both_and_once_in_all(
    own_contracts: Settings, three_files: list[int], ask: Ask
) -> None:
    said = ask(quarantine.counts, own_contracts, ALL, "UTC")
    assert (said["rows"], said["files"], said["is_capped"]) == (3, 2, False)
    assert [(group["rule"], group["rows"]) for group in said["by_rule"]] == [
        ("event_type.enum", 2),
        ("price.minimum", 1),
        ("price.type", 1),
    ]
    assert sum(bar["rows"] for bar in said["by_time"]) == 3
    assert [(file["file_id"], file["name"], file["rows"]) for file in said["by_file"]] == [
        (1, "a.csv", 2),
        (2, "b.csv", 1),
    ]


def test_filters_narrow_all_counts_down(own_contracts: Settings, three_files: list[int], ask: Ask) -> None:
    of_rule = ask(quarantine.counts, own_contracts, Chosen(rule="price.minimum"), "UTC")
    assert [group["rule"] for group in of_rule["by_rule"]] == ["price.minimum"]
    assert (of_rule["rows"], [file["file_id"] for file in of_rule["by_file"]]) == (1, [1])
    assert ask(quarantine.counts, own_contracts, Chosen(file_id=2), "UTC")["rows"] == 1
    assert ask(quarantine.counts, own_contracts, Chosen(contract="nobody's"), "UTC")["rows"] == 0
    assert ask(quarantine.counts, own_contracts, Chosen(contract="events", days=1), "UTC")["rows"] == 3


def test_time_is_told_in_stretches_of_the_viewers_zone(
    own_contracts: Settings, three_files: list[int], connection: Owner, ask: Ask
) -> None:
    moments = [(1, 2, "2020-01-31T23:30Z"), (1, 3, "2020-01-31T22:30Z"), (2, 1, "2020-02-01T22:30Z")]
    for file_id, record, at in moments:
        connection.execute(
            "UPDATE ledger.rejects SET rejected_at = %s WHERE file_id = %s AND record_number = %s",
            [at, file_id, record],
        )
    berlin, utc = (ask(quarantine.counts, own_contracts, ALL, zone) for zone in ("Europe/Berlin", "UTC"))
    assert (berlin["unit"], [bar["rows"] for bar in berlin["by_time"]]) == ("month", [1, 2])
    assert [bar["rows"] for bar in utc["by_time"]] == [2, 1]
    with pytest.raises(quarantine.UnknownZoneError, match="'Europe/Atlantis'"):
        ask(quarantine.counts, own_contracts, ALL, "Europe/Atlantis")


def test_only_the_newest_are_counted_when_there_are_too_many(
    own_contracts: Settings, three_files: list[int], ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "COUNTED", 2)
    said = ask(quarantine.counts, own_contracts, ALL, "UTC")
    assert (said["is_capped"], said["most"]) == (True, 2)
    monkeypatch.setattr(quarantine, "COUNTED", 3)
    assert ask(quarantine.counts, own_contracts, ALL, "UTC")["is_capped"] is False


def test_the_field_that_a_rule_is_about_is_marked_in_the_raw_bytes(
    own_contracts: Settings, three_files: list[int], ask: Ask
) -> None:
    second, cheap, both = rows(ask, own_contracts)
    assert (second["file_id"], cheap["record_number"], both["record_number"]) == (2, 3, 2)
    assert marked(cheap) == {"price": "cheap"}
    assert marked(both) == {"event_type": "teleport", "price": "-1"}
    assert text(both) == event(2, kind="teleport", price="-1")
    assert (both["line_number"], both["name"], both["is_trimmed"]) == (3, "a.csv", False)
    words = {each["rule"]: each["words"] for each in both["rules"]}
    assert words["price.minimum"] == "price has minimum 0: the value is below it"
    assert words["event_type.enum"].startswith("event_type has enum product_view, search, ")
    assert words["event_type.enum"].endswith(", purchase: the text is none of those")


def test_a_page_goes_on_where_the_one_before_ended(own_contracts: Settings, three_files: list[int], ask: Ask) -> None:
    first = ask(quarantine.page, own_contracts, ALL, BEFORE_ALL, 2)
    assert first["next"] == (1, 3)
    second = ask(quarantine.page, own_contracts, ALL, first["next"], 2)
    assert (second["next"], [row["record_number"] for row in second["rows"]]) == (None, [2])


def test_quoted_fields_and_the_fields_of_other_dialects_are_found(own_contracts: Settings, load: Any, ask: Ask) -> None:
    change_contract(own_contracts, csv={"separator": ";", "encoding": "latin-1"})
    line = event(1, price='"1;5\xfc"', note='"a;""b"""').replace(",", ";")
    load((HEADER.replace(",", ";") + "\n" + line + "\n").encode("latin-1"))
    [row] = rows(ask, own_contracts)
    assert (marked(row), text(row)) == ({"price": '"1;5ü"'}, line)


def test_a_record_of_utf_16_is_text(own_contracts: Settings, load: Any, ask: Ask) -> None:
    load(table(event(1, price="teuer €")).encode("utf-16"))
    [row] = rows(ask, own_contracts)
    assert (marked(row), text(row)) == ({"price": "teuer €"}, event(1, price="teuer €"))


def test_bytes_of_no_letter_are_escapes_and_nothing_is_marked_where_a_record_cannot_be_read(
    own_contracts: Settings, load: Any, ask: Ask
) -> None:
    load(table(event(1, note="@")).encode().replace(b"@", b"\xff\xfe") + b"too,few\n")
    few, invalid = rows(ask, own_contracts)
    assert "\\xff\\xfe" in text(invalid)
    assert (marked(few), few["rules"][0]["words"]) == ({}, "it has fewer fields than the header")
    assert marked(invalid) == {}


def test_a_huge_field_is_trimmed_and_says_so(own_contracts: Settings, load: Any, ask: Ask) -> None:
    load(table(event(1, price="x" * 100_000), event(2, kind="y", note="z" * 5_000)))
    long, huge = rows(ask, own_contracts)
    assert (huge["is_trimmed"], huge["bytes"] > 100_000, len(text(huge)) < 4_000) == (True, True, True)
    assert (long["is_trimmed"], marked(long), len(text(long)) < 1_000) == (True, {"event_type": "y"}, True)
    form = ask(quarantine.one, own_contracts, huge["file_id"], huge["record_number"])
    assert form is not None
    assert (form["is_editable"], form["state"]) == (False, "quarantined")


def test_an_edited_reject_is_marked_where_its_field_stands(
    own_contracts: Settings, three_files: list[int], connection: Owner, ask: Ask
) -> None:
    connection.execute(
        """UPDATE ledger.rejects SET fields = fields || '{"price": 7}' WHERE file_id = 1 AND record_number = 3"""
    )
    form = ask(quarantine.one, own_contracts, 1, 3)
    assert form is not None
    assert form["edited_at"] is not None
    assert marked(form) == {"price": "cheap"}
    assert form["fields"][0] == {"name": "price", "value": "7", "is_missing": False, "rules": ["price.type"]}


def test_a_form_has_every_field_of_the_header(own_contracts: Settings, load: Any, ask: Ask) -> None:
    load(table(event(1), "too,few"))
    form = ask(quarantine.one, own_contracts, 1, 2)
    assert form is not None
    assert (form["needs_all"], form["is_editable"], len(form["fields"])) == (True, True, len(HEADER.split(",")))
    assert [field["is_missing"] for field in form["fields"]] == [False] * 2 + [True] * 13
    assert ask(quarantine.one, own_contracts, 1, 1) is None


def test_a_rule_whose_contract_is_gone_is_still_in_words(
    own_contracts: Settings, three_files: list[int], ask: Ask
) -> None:
    for file in own_contracts.contracts_dir.iterdir():
        file.unlink()
    said = ask(quarantine.counts, own_contracts, Chosen(rule="price.minimum"), "UTC")
    assert said["by_rule"][0]["words"] == "price, minimum: the value is below it"
    assert marked(rows(ask, own_contracts, Chosen(rule="price.minimum"))[0]) == {
        "event_type": "teleport",
        "price": "-1",
    }


def test_a_rule_of_a_derived_column_marks_what_it_is_derived_from(own_contracts: Settings, load: Any, ask: Ask) -> None:
    document = change_contract(own_contracts)
    document["schema"][0]["quality"] = [
        {
            "type": "custom",
            "engine": "sluice",
            "name": "dear_for_shoes",
            "description": "Shoes cost less than 100",
            "implementation": "category <> 'shoes' OR price < 100",
        }
    ]
    write_contract(own_contracts, document)
    load(table(event(1, price="250")))
    [row] = rows(ask, own_contracts)
    assert marked(row) == {"category": "shoes", "price": "250"}
    assert (
        row["rules"][0]["words"] == "Shoes cost less than 100: it must be true that category <> 'shoes' OR price < 100"
    )


def test_the_rows_of_a_spreadsheet_say_why_and_what(own_contracts: Settings, three_files: list[int], ask: Ask) -> None:
    lines, key = ask(quarantine.spreadsheet, own_contracts, Chosen(file_id=1), BEFORE_ALL, 1)
    [line] = [dict(zip(quarantine.CSV_COLUMNS, line, strict=True)) for line in lines]
    assert (key, line["file"], line["record"], line["rules"]) == ((1, 3), "a.csv", 3, "price.type")
    assert (line["fields"], line["values"], line["raw"], line["raw_is_whole"]) == (
        "price",
        "cheap",
        event(3, price="cheap"),
        True,
    )
    assert (ask(quarantine.how_many, ALL, 100), ask(quarantine.how_many, ALL, 2)) == (3, 3)
    assert ask(quarantine.how_many, ALL, 1) == 2


def test_what_left_the_quarantine_is_not_counted(
    own_contracts: Settings, three_files: list[int], connection: Owner, ask: Ask
) -> None:
    connection.execute("UPDATE ledger.rejects SET state = 'withdrawn' WHERE file_id = 1")
    said = ask(quarantine.counts, own_contracts, ALL, "UTC")
    assert [row["file_id"] for row in rows(ask, own_contracts)] == [2]
    form = ask(quarantine.one, own_contracts, 1, 3)
    assert said["rows"] == 1
    assert form is not None
    assert (form["state"], form["is_editable"]) == ("withdrawn", False)
    assert rejects(connection, 1)[0]["state"] == "withdrawn"
