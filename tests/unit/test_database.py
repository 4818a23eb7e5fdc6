"""A connection notices a dead network by itself, unless its URL says otherwise."""

from __future__ import annotations

import traceback
from collections.abc import Callable

import pytest
from psycopg.conninfo import conninfo_to_dict

from sluice.base.database import PATIENCE, connect, url_for_libpq
from sluice.base.settings import SettingError

NOWHERE = "postgresql://me:a%40b@127.0.0.1:1/shop"


@pytest.mark.parametrize("url", [NOWHERE, f"{NOWHERE}?sslmode=disable", NOWHERE.replace("a%40b", "a?b")])
def test_a_url_gains_the_name_and_the_patience(url: str) -> None:
    found = conninfo_to_dict(url_for_libpq(url, "sluice-stream-7"))
    assert found == conninfo_to_dict(url) | {"application_name": "sluice-stream-7"} | {
        key: str(value) for key, value in PATIENCE.items()
    }


@pytest.mark.parametrize("use", [connect, lambda url: url_for_libpq(url, "x")], ids=["psycopg", "adbc"])
def test_a_url_that_cannot_be_read_is_refused_without_its_password(use: Callable[[str], object]) -> None:
    password = "p%zz" + "-".join("abc")
    with pytest.raises(SettingError, match="percent-encoded") as refused:
        use(f"postgresql://me:{password}@127.0.0.1:1/shop")
    assert "a-b-c" not in "".join(traceback.format_exception(refused.value))


def test_what_the_url_says_wins() -> None:
    found = conninfo_to_dict(url_for_libpq(f"{NOWHERE}?connect_timeout=3&tcp_user_timeout=500", "x"))
    assert (found["connect_timeout"], found["tcp_user_timeout"], found["keepalives_idle"]) == ("3", "500", "10")


def test_a_connection_has_the_same_patience(database_url: str) -> None:
    with connect(f"{database_url}?keepalives_idle=77") as connection:
        found = connection.info.get_parameters()
    assert (found["keepalives_idle"], found["tcp_user_timeout"]) == ("77", "120000")
