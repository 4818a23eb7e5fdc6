"""A connection notices a dead network by itself, unless its URL says otherwise."""

from __future__ import annotations

import pytest
from psycopg.conninfo import conninfo_to_dict

from sluice.database import PATIENCE, connect, url_for_libpq

NOWHERE = "postgresql://me:a%40b@127.0.0.1:1/shop"


@pytest.mark.parametrize("url", [NOWHERE, f"{NOWHERE}?sslmode=disable"])
def test_a_url_gains_the_name_and_the_patience(url: str) -> None:
    found = conninfo_to_dict(url_for_libpq(url, "sluice-stream-7"))
    assert found == conninfo_to_dict(url) | {"application_name": "sluice-stream-7"} | {
        key: str(value) for key, value in PATIENCE.items()
    }


def test_what_the_url_says_wins() -> None:
    found = conninfo_to_dict(url_for_libpq(f"{NOWHERE}?connect_timeout=3&tcp_user_timeout=500", "x"))
    assert (found["connect_timeout"], found["tcp_user_timeout"], found["keepalives_idle"]) == ("3", "500", "10")


def test_a_connection_has_the_same_patience(database_url: str) -> None:
    with connect(f"{database_url}?keepalives_idle=77") as connection:
        found = connection.info.get_parameters()
    assert (found["keepalives_idle"], found["tcp_user_timeout"]) == ("77", "30000")
