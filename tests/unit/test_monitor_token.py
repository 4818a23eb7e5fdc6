"""Who is told figures: whoever sends the token that was set; nobody while none is."""

from __future__ import annotations

import pytest
from fastapi import HTTPException
from sluice_ui.rights import MonitorToken

TOKEN = "0123456789abcdef"


@pytest.mark.parametrize("sent", ["", "Bearer", "Bearer ", "Bearer None", f"Bearer {TOKEN}"])
def test_while_no_token_is_set_there_is_no_such_endpoint(sent: str) -> None:
    with pytest.raises(HTTPException) as refused:
        MonitorToken("")(sent)
    assert refused.value.status_code == 404


@pytest.mark.parametrize("sent", ["", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}0", f"Bearer {TOKEN[:-1]}", "Bearer ü"])
def test_another_token_is_refused(sent: str) -> None:
    with pytest.raises(HTTPException) as refused:
        MonitorToken(TOKEN)(sent)
    assert (refused.value.status_code, refused.value.headers) == (401, {"WWW-Authenticate": "Bearer"})


def test_the_token_is_let_through_however_its_scheme_is_spelled() -> None:
    MonitorToken(TOKEN)(f"Bearer {TOKEN}")
    MonitorToken(TOKEN)(f"bearer {TOKEN}")
