"""A connection notices a dead network by itself, unless its URL says otherwise."""

from __future__ import annotations

import traceback

import pytest

from sluice.base.database import connect
from sluice.base.settings import SettingError


def test_a_url_that_cannot_be_read_is_refused_without_its_password() -> None:
    password = "p%zz" + "-".join("abc")
    with pytest.raises(SettingError, match="percent-encoded") as refused:
        connect(f"postgresql://me:{password}@127.0.0.1:1/shop")
    assert "a-b-c" not in "".join(traceback.format_exception(refused.value))


def test_a_connection_has_the_same_patience(database_url: str) -> None:
    with connect(f"{database_url}?keepalives_idle=77") as connection:
        found = connection.info.get_parameters()
    assert (found["keepalives_idle"], found["tcp_user_timeout"]) == ("77", "120000")
