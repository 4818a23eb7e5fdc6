"""The page's app where the settings cannot be used."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient
from sluice_ui import app, rights


def test_a_wrong_setting_leaves_the_scripts_and_is_told_without_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow shows an error on each of its pages where a script of a plugin is missing."""
    monkeypatch.setenv("SLUICE_UPLOAD_BYTES_MAX", "hunter2")
    built = app.build()
    built.dependency_overrides[rights.LOOK.dependency] = lambda: None
    asked = TestClient(built)
    assert asked.get("/static/strip.js").status_code == 200
    for answer in (asked.get("/api/now/line"), asked.post("/api/uploads")):
        assert (answer.status_code, answer.json()["code"]) == (503, "setting")
        assert "hunter2" not in answer.text


def test_a_database_url_that_cannot_be_read_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_READER_URL", "postgresql://reader:pass%word@localhost/sluice")
    built = app.build()
    built.dependency_overrides[rights.LOOK.dependency] = lambda: None
    answer = TestClient(built).get("/api/now")
    assert (answer.status_code, answer.json()["code"]) == (503, "setting")
    assert "word" not in answer.text


def test_without_a_login_a_wrong_setting_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_UPLOAD_BYTES_MAX", "hunter2")
    asked = TestClient(app.build(), raise_server_exceptions=False)
    assert asked.get("/api/now").status_code not in (200, 503)
