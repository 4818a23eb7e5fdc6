"""Connections to PostgreSQL, and the named queries of ``include/sql``."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from sluice.settings import SQL

_NAME = re.compile(r"^-- name: (\w+)[^\n]*\n", re.MULTILINE)


def connect(
    url: str, *, application_name: str = "sluice", autocommit: bool = True
) -> psycopg.Connection[dict[str, Any]]:
    """Open a connection whose rows are dicts; raises psycopg.OperationalError when the server is away."""
    return psycopg.connect(
        url,
        autocommit=autocommit,
        row_factory=dict_row,
        application_name=application_name,
        connect_timeout=10,
        keepalives_idle=10,
        keepalives_interval=5,
        keepalives_count=3,
    )


@functools.cache
def queries(file: str) -> dict[str, str]:
    """The queries of ``include/sql/<file>.sql`` by name; each starts with a line ``-- name: x``."""
    text = (SQL / f"{file}.sql").read_text(encoding="utf-8")
    parts = _NAME.split(text)
    return {name: body.strip().rstrip(";") for name, body in zip(parts[1::2], parts[2::2], strict=True)}


def statement(path: Path) -> str:
    """The text of one .sql file that holds one script."""
    return path.read_text(encoding="utf-8")
