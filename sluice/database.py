"""Connections to PostgreSQL, and the named queries of ``include/sql``."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row

from sluice.settings import SQL, SettingError

_NAME = re.compile(r"^-- name: (\w+)[^\n]*\n", re.MULTILINE)


# A network that is cut without a word, or a machine that is frozen, is noticed and not waited for without end. A server
# that takes nothing for two minutes while a file is copied (a lock, a disk that stalls) may still come to it. What the
# URL says itself wins.
PATIENCE = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 120_000,
}


def connect(
    url: str, *, application_name: str = "sluice", autocommit: bool = True, connect_timeout: int | None = None
) -> psycopg.Connection[dict[str, Any]]:
    """Open a connection whose rows are dicts; raises psycopg.OperationalError when the server is away.

    ``connect_timeout`` is in seconds; without it, what ``url`` says, or 10.
    """
    given = _parts(url)
    patience: dict[str, Any] = {key: value for key, value in PATIENCE.items() if key not in given}
    if connect_timeout is not None:
        patience["connect_timeout"] = connect_timeout
    return psycopg.connect(
        url, autocommit=autocommit, row_factory=dict_row, application_name=application_name, **patience
    )


def url_for_libpq(url: str, application_name: str) -> str:
    """``url`` (postgresql://…) with the name and the patience of ``connect``, for a driver that takes only a URL."""
    given = _parts(url)
    wanted = {key: value for key, value in PATIENCE.items() if key not in given}
    mark = "&" if "?" in url.rpartition("@")[2] else "?"
    return f"{url}{mark}{urlencode({'application_name': application_name, **wanted})}"


def _parts(url: str) -> dict[str, Any]:
    try:
        return conninfo_to_dict(url)
    except psycopg.ProgrammingError:  # its message quotes the password
        raise SettingError(
            "the database URL cannot be read: write postgresql://user:password@host:port/database, with % and other "
            "signs of the password percent-encoded"
        ) from None


@functools.cache
def queries(file: str) -> dict[str, str]:
    """The queries of ``include/sql/<file>.sql`` by name; each starts with a line ``-- name: x``."""
    text = (SQL / f"{file}.sql").read_text(encoding="utf-8")
    parts = _NAME.split(text)
    return {name: body.strip().rstrip(";") for name, body in zip(parts[1::2], parts[2::2], strict=True)}


def statement(path: Path) -> str:
    """The text of one .sql file that holds one script."""
    return path.read_text(encoding="utf-8")
