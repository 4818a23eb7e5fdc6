"""What people on duty are told: each state has its sentence, its remedy and its section of docs/on-duty.md."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from sluice.base.settings import PROJECT
from sluice.duty import sentences
from sluice.duty.conditions import FINE
from sluice.duty.due import Noted, due
from sluice.watching.health import Level

PAGE = (PROJECT / "docs" / "on-duty.md").read_text(encoding="utf-8")
START = datetime(2026, 11, 23, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def test_each_wrong_state_has_a_remedy_and_a_section_and_each_section_is_of_a_state() -> None:
    headings = {
        re.sub(r"[^a-z ]", "", head.lower()).replace(" ", "-") for head in re.findall(r"^### (.*)$", PAGE, re.M)
    }
    wrong = {pair: words for pair, words in sentences.known().items() if pair[1] != FINE}
    assert {words.section for words in wrong.values()} == headings
    assert [pair for pair, words in wrong.items() if not words.remedy] == []
    assert {words.level for words in wrong.values()} == {Level.WARNING, Level.BAD}


def test_each_kind_says_when_it_is_fine_again() -> None:
    kinds = {kind for kind, _ in sentences.known()}
    assert {kind for kind, state in sentences.known() if state == FINE} == kinds
    assert {sentences.words(kind, FINE).level for kind in kinds} == {Level.GOOD}


def test_the_table_of_alerts_has_each_state_and_how_bad_it_is() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*) \| (.*) \|$", PAGE, re.M)
    names = {"warning": Level.WARNING, "failure": Level.BAD}
    listed = {
        (kind, state): names[level]
        for kind, states, levels in rows
        for group, level in zip(states.split("; "), levels.split("; "), strict=True)
        for state in re.findall(r"`(\w+)`", group)
    }
    assert listed == {pair: words.level for pair, words in sentences.known().items() if pair[1] != FINE}


def test_a_state_that_is_not_known_here_is_told_in_its_own_words() -> None:
    assert sentences.sentence("feed", "orders", "upside_down") == "The feed orders is upside down."
    assert sentences.remedy("feed", "upside_down") == ""


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("a\nb\x1b[1m", "a\\nb\\x1b[1m"),
        ("<@U123> @here", "‹＠U123› ＠here"),
        ("http://x.org", "http: //x.org"),
        ("x" * 301, "x" * 300 + "…"),
    ],
)
def test_text_from_a_file_is_one_line_and_calls_nobody(text: str, clean: str) -> None:
    assert sentences.clean(text) == clean


def test_numbers_are_told_as_people_write_them() -> None:
    numbers = {"rows": 12345, "share": 0.25, "due": None, "days": ["a", "b", "c", "d", "e", "f"], "whole": True}
    assert sentences.figures(numbers) == "rows 12,345, share 0.25, due unknown, days a b c d e and 1 more, whole yes"


# --- what is due


def noted(*states: tuple[str, int], told: str | None = None, lately: int = 1) -> list[Noted]:
    """Changes of one subject: each state, and the minute in which it came."""
    moments = [START + minute * MINUTE for _, minute in states]
    return [
        Noted(number, "feed", "a", None, state, at, ended, told, at, lately)
        for number, ((state, _), at, ended) in enumerate(zip(states, moments, [*moments[1:], None], strict=True))
    ]


def told(changes: list[Noted], minute: int) -> list[str]:
    return [one.state for one in due(changes, START + minute * MINUTE, 2 * MINUTE)]


def test_what_held_is_due_and_what_did_not_hold_is_passed_over() -> None:
    assert told(noted(("late", 0)), 1) == []
    assert told(noted(("late", 0)), 2) == ["late"]
    assert told(noted(("late", 0), ("missing", 1)), 5) == ["missing"]
    assert told(noted(("late", 0), ("missing", 2), (FINE, 4)), 10) == ["late", "missing", FINE]


def test_what_the_receiver_knows_is_not_due() -> None:
    assert told(noted((FINE, 0), ("late", 1), told="late"), 10) == []
    assert told(noted((FINE, 0), told="late"), 10) == [FINE]
    assert told(noted(("late", 0), (FINE, 1)), 10) == []


def test_the_more_often_it_changes_the_longer_it_must_rest() -> None:
    assert told(noted(("late", 0), lately=5), 9) == []
    assert told(noted(("late", 0), lately=5), 10) == ["late"]
