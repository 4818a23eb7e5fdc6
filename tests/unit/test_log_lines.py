"""What the stream logs: an entry a line, as JSON when asked; no name of a file forges one."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from sluice.base import log_lines, settings
from sluice.base.plain_text import escaped, indented
from sluice.base.settings import SettingError

FORGED = "a.csv\n2026-11-30 00:00:00 INFO sluice file 9 is loaded\x1b[2K\u2028\x9b2K"


@pytest.fixture
def root() -> Iterator[None]:
    """The root logger as it was."""
    logger = logging.getLogger()
    before, level = logger.handlers[:], logger.level
    yield
    logger.handlers[:] = before
    logger.setLevel(level)
    for name in ("sluice", "spark_jobs"):
        logging.getLogger(name).setLevel(logging.NOTSET)


def logged(kind: str) -> str:
    stream = io.StringIO()
    log_lines.configure(kind, stream)
    log = logging.getLogger("sluice.loading")
    log.info("file %s (%s) is loaded", 7, FORGED, extra=log_lines.facts(event="file_loaded", name=FORGED, rows=3))
    try:
        raise ValueError(FORGED)
    except ValueError:
        log.exception("it failed")
    logging.getLogger("others").info("nothing of ours")
    return stream.getvalue()


@pytest.mark.usefixtures("root")
def test_as_json_each_entry_is_one_object_with_what_a_machine_wants() -> None:
    first, second = [json.loads(line) for line in logged("json").splitlines()]
    assert (first["event"], first["name"], first["rows"], first["level"]) == ("file_loaded", FORGED, 3, "INFO")
    assert first["message"].startswith("file 7 (a.csv")
    assert (second["level"], "ValueError" in second["traceback"]) == ("ERROR", True)


@pytest.mark.usefixtures("root")
def test_as_text_no_line_is_forged() -> None:
    text = logged("text")
    entries = [line for line in text.split("\n") if line and not line.startswith("    ")]
    assert [line.split(" ")[2] for line in entries] == ["INFO", "ERROR"]
    entry = entries[0]
    assert entry.endswith("INFO sluice.loading file 7 (a.csv")
    assert text.split("\n")[1].startswith("    2026-11-30")
    assert not any(letter in text for letter in "\x1b\u2028\x9b")


def test_a_name_is_one_line_and_an_error_s_further_lines_are_indented() -> None:
    assert "\n" not in escaped(FORGED)
    assert escaped("Bücher 書.csv") == "Bücher 書.csv"
    assert indented("one\ntwo\x1b") == "one\n    two\\x1b"


def test_a_kind_that_is_none_is_refused() -> None:
    assert settings.load({"SLUICE_LOG": "json"}).log == "json"
    with pytest.raises(SettingError, match="SLUICE_LOG='yaml' is neither text nor json"):
        settings.load({"SLUICE_LOG": "yaml"})


def test_a_token_that_is_short_or_has_blanks_is_refused_and_not_shown() -> None:
    for bad in ("secret", "sixteen letters and blanks", "ünfzehnundeins-16"):
        with pytest.raises(SettingError, match="SLUICE_METRICS_TOKEN is no token") as error:
            settings.load({"SLUICE_METRICS_TOKEN": bad})
        assert bad not in str(error.value)
