"""The custom property expect of a contract: what may be written there, and what is refused with which remedy."""

from __future__ import annotations

from datetime import time, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sluice.contracts.changes import changes
from sluice.contracts.expectation import WORKING_DAYS, Expectation
from sluice.contracts.model import ContractError
from sluice.contracts.parse import parse_contract
from sluice.contracts.parse_expect import parse_expect
from sluice.contracts.yaml12 import Yaml
from sluice.duty.expected import in_words
from tests.unit.test_contracts import document, parsed

BERLIN = "Europe/Berlin"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("nothing", {"is_nothing": True}),
        ("{every: 15 minutes}", {"every": timedelta(minutes=15)}),
        (
            "{every: hour, missingAfter: 90 minutes}",
            {"every": timedelta(hours=1), "missing_after": timedelta(minutes=90)},
        ),
        ("{every: 1.5 days}", {"every": timedelta(hours=36)}),
        ("{daily: by 06:00 Europe/Berlin}", {"by": time(6), "zone": BERLIN}),
        ("{daily: by 6:30}", {"by": time(6, 30)}),
        (
            "{daily: by 06:00, on: working days}",
            {"by": time(6), "days": WORKING_DAYS, "but_holidays": True},
        ),
        ("{every: 2 hours, on: [Monday, sunday]}", {"every": timedelta(hours=2), "days": frozenset({0, 6})}),
        ("{every: 2 hours, on: 'monday, thursday'}", {"every": timedelta(hours=2), "days": frozenset({0, 3})}),
        ("{rows: at least 1000 rows}", {"rows": 1000}),
        ("{rejected: at most 0.5 %, volume: at least 50% of the usual}", {"rejected": 0.005, "volume": 0.5}),
    ],
)
def test_what_may_be_written_is_meant_so(written: str, meant: dict[str, Any]) -> None:
    assert parse_expect(yaml.load(written, Loader=Yaml), "UTC") == Expectation(**meant)  # noqa: S506


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "expect is None: write {every: 15 minutes}, {daily: by 06:00 Europe/Berlin} or another of every, daily"),
        ({}, "expect is {}: write"),
        ("every 15 minutes", "expect is 'every 15 minutes': write {every: 15 minutes}"),
        ({"evry": "15 minutes"}, "expect.evry is unknown: write every, or take it out"),
        ({"missingafter": "1 hour"}, "expect.missingafter is unknown: write missingAfter, or take it out"),
        ({"on": "monday", "thursday": None}, "expect.thursday is unknown: within braces a comma begins another part"),
        ({True: "working days"}, "expect.True is unknown"),
        ({"every": "15 min"}, "expect.every is '15 min': write it as a number of minutes, hours, days or weeks"),
        ({"every": 15}, "expect.every is 15: write it as"),
        ({"every": "5 seconds"}, "expect.every is '5 seconds': it must be 1 minute to 366 days"),
        ({"every": "900 weeks"}, "it must be 1 minute to 366 days"),
        ({"daily": "06:00"}, "expect.daily is '06:00': write it as by a time"),
        ({"daily": "by 24:00"}, "expect.daily is 'by 24:00'"),
        ({"daily": "by 06:00 Europe/Berlim"}, "expect is of time zone 'Europe/Berlim', which is none"),
        ({"daily": "by 06:00", "on": "workdays"}, "expect.on is 'workdays': write working days (Monday to Friday"),
        ({"daily": "by 06:00", "on": []}, "expect.on is []"),
        ({"on": "working days"}, "expect.on says nothing without how often: add every or daily"),
        ({"rows": "at least 1", "missingAfter": "1 hour"}, "expect.missingAfter says nothing without how often"),
        ({"every": "1 hour", "daily": "by 06:00"}, "expect says both every and daily: keep one"),
        ({"rows": 1000}, "expect.rows is 1000: write it as at least a whole number, such as at least 1000"),
        ({"rejected": "2 %"}, "expect.rejected is '2 %': write it as at most a share in percent"),
        ({"rejected": "at most 200 %"}, "a share is 0 % to 100 %"),
        ({"volume": "within 50 %"}, "expect.volume is 'within 50 %': write it as at least a share in percent"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_place_value_and_remedy(value: Any, reason: str) -> None:
    with pytest.raises(ContractError) as raised:
        parse_expect(value, "UTC")
    assert reason in str(raised.value)


def test_a_contract_says_it_and_its_file_is_named_when_it_cannot_be_meant() -> None:
    contract = parsed(expect={"daily": "by 06:00", "on": "working days"}, timezone=BERLIN)
    assert contract.expect == Expectation(by=time(6), zone=BERLIN, days=WORKING_DAYS, but_holidays=True)
    assert parsed().expect is None
    with pytest.raises(ContractError, match=r"^test\.odcs\.yaml: expect\.every is '15 min': write it as"):
        parsed(expect={"every": "15 min"})
    with pytest.raises(ContractError, match="custom property 'expects' is unknown: did you mean expect"):
        parse_contract(yaml.safe_dump(document(expects={"every": "15 minutes"})), Path("test.odcs.yaml"))


def test_another_expectation_breaks_nobody() -> None:
    found = changes(parsed(), parsed(expect="nothing"))
    assert [(change.breaks, change.text.partition(":")[0]) for change in found] == [("", "expect")]


@given(
    st.sampled_from(["every", "daily"]),
    st.integers(1, 366 * 24 * 60),
    st.times(),
    st.sampled_from(["working days", "every day", "friday, saturday"]),
    st.integers(0, 10**9),
    st.integers(0, 100),
)
def test_what_is_said_in_words_names_each_part(
    kind: str, minutes: int, by: time, days: str, rows: int, percent: int
) -> None:
    when = f"{minutes} minutes" if kind == "every" else f"by {by:%H:%M}"
    said = in_words(
        parse_expect({kind: when, "on": days, "rows": f"at least {rows}", "rejected": f"at most {percent} %"}, "UTC")
    )
    assert (f"{by:%H:%M} UTC" in said) == (kind == "daily")
    assert (f"at least {rows:,} rows" in said, f"at most {percent} % rejected" in said) == (True, True)
    assert ("on " in said) == (days != "every day")
