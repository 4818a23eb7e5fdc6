"""Processes that judge and draft for the page, and what they may take."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from sluice_ui.judging import Judge

from sluice.base.settings import PROJECT, Settings
from sluice.landing import uploads
from sluice.landing.uploads import Upload, UploadError

ROWS = "id,kind,moment,amount\n" + "".join(f"{i},view,2026-11-0{i}T10:00:00Z,{i}.50\n" for i in range(1, 9))
# Drafts with less memory than it is given.
SHORT_OF_MEMORY = """
import sys
from sluice.cli import contracts, main
contracts._DATA_BYTES_MAX = 300 << 20
sys.exit(main.main(["contract", "--gently", "--", sys.argv[1]]))
"""


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("SLUICE_HOME", str(tmp_path))
    made = Settings(home=str(tmp_path))
    made.incoming_dir.mkdir()
    return made


@pytest.fixture
def upload(settings: Settings) -> Upload:
    writing = uploads.take(settings, "orders.csv", None)
    writing.write(ROWS.encode())
    return writing.end()


def drafts(settings: Settings, upload: Upload, times: int) -> list[dict[str, Any]]:
    said: list[dict[str, Any]] = []

    async def draft(judge: Judge) -> None:
        said.append(await judge.draft(upload))

    async def all_at_once() -> None:
        judge = Judge(settings)
        async with anyio.create_task_group() as group:
            for _ in range(times):
                group.start_soon(draft, judge)

    anyio.run(all_at_once)
    return said


def test_two_drafts_of_one_upload_at_once_are_both_made_and_leave_nothing(settings: Settings, upload: Upload) -> None:
    first, second = drafts(settings, upload, 2)
    assert "apiVersion" in first["text"]
    assert first == second
    assert [path.name for path in settings.uploads_dir.iterdir() if path.is_dir()] == []


def test_an_upload_that_is_gone_when_its_draft_begins_is_said(settings: Settings, upload: Upload) -> None:
    upload.path.unlink()
    with pytest.raises(BaseExceptionGroup) as raised:
        drafts(settings, upload, 1)
    assert raised.group_contains(UploadError, match="choose the file again")


def test_a_gentle_draft_fails_in_words_rather_than_take_much_memory(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    path.write_text("id,kind,moment\n" + "".join(f"{i},view,2026-11-01T10:00:00Z\n" for i in range(600_000)))
    done = subprocess.run(
        [sys.executable, "-c", SHORT_OF_MEMORY, str(path)], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "within the memory that it may take" in done.stderr
