"""The members of the league, which do without Sluice's own modules, load into the columns that events have."""

from __future__ import annotations

from bench.peers.base import COLUMNS
from sluice.contracts.event_columns import EVENT_COLUMNS
from sluice.generator.records import HEADER


def test_the_league_loads_the_columns_of_the_generator_with_the_types_of_events() -> None:
    assert list(COLUMNS) == HEADER.split(",")
    types = {"event_time" if name == "timestamp" else name: kind.partition("(")[0] for name, kind in COLUMNS.items()}
    assert types == EVENT_COLUMNS
