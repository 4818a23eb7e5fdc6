"""Files that were handed over and have not landed yet."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from dags import keep_house
from sluice.base.settings import Settings
from sluice.landing import uploads
from sluice.landing.uploads import KEPT_SECONDS, Upload, UploadError


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("SLUICE_HOME", str(tmp_path))
    made = Settings(home=str(tmp_path))
    made.incoming_dir.mkdir()
    return made


def hand_over(settings: Settings, data: bytes = b"x") -> Upload:
    writing = uploads.take(settings, "a.csv", None)
    writing.write(data)
    return writing.end()


def grow_old(settings: Settings) -> None:
    then = time.time() - KEPT_SECONDS - 1
    for path in settings.uploads_dir.iterdir():
        os.utime(path, (then, then))


def test_an_hour_later_an_upload_cannot_be_landed_although_nothing_has_deleted_it_yet(settings: Settings) -> None:
    upload = hand_over(settings)
    grow_old(settings)
    with pytest.raises(UploadError, match="choose the file again"):
        uploads.land_upload(settings, upload.token)
    assert list(settings.incoming_dir.iterdir()) == []


def test_housekeeping_deletes_what_is_an_hour_old_and_no_more(settings: Settings) -> None:
    hand_over(settings)
    grow_old(settings)
    young = hand_over(settings)
    keep_house.forget_uploads.function()
    assert {path.stem for path in settings.uploads_dir.iterdir()} == {young.token}


def test_what_a_draft_that_was_killed_left_stops_no_later_upload(settings: Settings) -> None:
    upload = hand_over(settings)
    left = upload.path.with_suffix(".draft")
    left.mkdir()
    os.link(upload.path, left / "a.csv")
    grow_old(settings)
    young = hand_over(settings)
    assert {path.stem for path in settings.uploads_dir.iterdir()} == {young.token}


def test_an_upload_ends_when_the_disk_becomes_too_full_while_it_is_written(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As that of a body that tells no length, or of one of many."""
    monkeypatch.setattr(uploads, "LOOK_BYTES", 3)
    writing = uploads.take(settings, "a.csv", None)
    monkeypatch.setattr(uploads, "SPARE_BYTES", 1 << 60)
    writing.write(b"ab")
    with pytest.raises(UploadError, match="MB left"):
        writing.write(b"c")
    writing.give_up()
    assert list(settings.uploads_dir.iterdir()) == []


def test_an_upload_that_is_larger_than_it_may_be_leaves_nothing(settings: Settings) -> None:
    writing = uploads.take(Settings(home=settings.home, upload_bytes_max=3), "a.csv", None)
    with pytest.raises(UploadError, match="SLUICE_UPLOAD_BYTES_MAX"):
        writing.write(b"four")
    writing.give_up()
    assert list(settings.uploads_dir.iterdir()) == []
