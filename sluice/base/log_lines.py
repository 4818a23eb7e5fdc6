"""How what the stream logs is written: a line an entry, for people or as JSON for machines (SLUICE_LOG)."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

from sluice.base.plain_text import indented

KINDS = ("text", "json")


class TextLines(logging.Formatter):
    """Time, level, logger, message. What a name in the message holds begins no line."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        """The entry without the traceback of an error."""
        return indented(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's own name
        """The traceback, below its entry."""
        return indented(f"\n{super().formatException(ei)}").removeprefix("\n")


class JsonLines(logging.Formatter):
    """One JSON object an entry: at, level, logger, message, what was said of it besides, and an error's traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """The object, in ASCII."""
        said: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            said["traceback"] = self.formatException(record.exc_info)
        return json.dumps(said, default=str)


def facts(**said: Any) -> dict[str, dict[str, Any]]:
    """``extra`` of an entry: what a machine is told beside the message."""
    return {"facts": said}


def configure(kind: str, stream: TextIO = sys.stderr, *, others: int = logging.WARNING) -> None:
    """Log to ``stream``: of Sluice everything from INFO on, of others from ``others`` on."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines() if kind == "json" else TextLines())
    logging.basicConfig(level=others, handlers=[handler], force=True)
    for name in ("sluice", "spark_jobs"):
        logging.getLogger(name).setLevel(logging.INFO)
