"""The rejects as CSV, sent page by page: bounded, patient, and under a name of ours."""

from __future__ import annotations

import re
from typing import Any

import anyio
import pytest
from sluice_ui import rejects_csv
from sluice_ui.desk import BusyError

from sluice.watching.quarantine import BEFORE_ALL, Chosen, Key
from sluice.watching.reader import SlowError


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rejects_csv, "_PAUSE_SECONDS", 0)


def download(page: Any) -> bytes:
    async def all_of_it() -> bytes:
        return b"".join([piece async for piece in rejects_csv.pieces(page)])

    return anyio.run(all_of_it)


def test_pages_follow_one_another_until_there_is_no_key() -> None:
    asked: list[Key] = []

    async def page(before: Key) -> tuple[list[list[Any]], Key | None]:
        asked.append(before)
        return [[len(asked), "=1+1", "a\r\nb"]], (7, 7) if len(asked) < 3 else None

    head, *lines = download(page).split(b"\r\n", 1)
    assert head.startswith(b"\xef\xbb\xbffile_id,file,record,line,")
    assert lines[0] == b"".join(b'%d,\'=1+1,"a\r\nb"\r\n' % number for number in (1, 2, 3))
    assert asked == [BEFORE_ALL, (7, 7), (7, 7)]


def test_a_download_ends_at_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rejects_csv, "MOST", 3)

    async def page(before: Key) -> tuple[list[list[Any]], Key | None]:
        return [[1], [2]], (7, 7)

    assert download(page).count(b"\r\n") == 1 + 3


def test_a_download_waits_for_its_turn_and_fails_in_the_end() -> None:
    tries: list[Key] = []

    async def page(before: Key) -> tuple[list[list[Any]], Key | None]:
        tries.append(before)
        if len(tries) < 3:
            raise BusyError if len(tries) == 1 else SlowError
        return [], None

    assert download(page).count(b"\r\n") == 1

    async def never(before: Key) -> tuple[list[list[Any]], Key | None]:
        raise SlowError("it took longer than 250 ms")

    with pytest.raises(SlowError):
        download(never)


@pytest.mark.parametrize(
    ("which", "is_complete", "named"),
    [
        (Chosen(), True, "rejects"),
        (Chosen("events", "price.type", 42), True, "rejects-events-price.type-file-42"),
        (Chosen('../"\r\nX: y', "<b>"), True, "rejects-X_y-b"),
        (Chosen(rule="r" * 300), False, "rejects-" + "r" * 60 + "-first-100000"),
    ],
)
def test_the_file_has_a_name_that_any_system_takes(which: Chosen, is_complete: bool, named: str) -> None:
    assert re.sub(r"-\d{8}T\d{6}Z\.csv$", "", rejects_csv.file_name(which, is_complete=is_complete)) == named
