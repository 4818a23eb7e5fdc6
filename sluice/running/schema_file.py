"""Compares ``include/sql/schema.sql`` with the sum of the migrations, on a server of its own; ``--write`` renews it."""

from __future__ import annotations

import difflib
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import psycopg

from sluice.base import database
from sluice.base.settings import SQL
from sluice.ledger import catalogue, migrate, roles
from sluice.running import embedded

FILE = SQL / "schema.sql"
_HEAD = """\
-- The schema that all migrations together make, with its grants. `make schema` writes it, `make check` compares it:
-- nothing runs it, a change of the schema is a migration. What may be done with the tables of schema report is not said
-- here: it follows from the files of the reports, and so do tables that no migration makes.

"""


def text(connection: psycopg.Connection[dict[str, Any]]) -> str:
    """What the file should hold when the database of ``connection`` is the sum of the migrations."""
    return _HEAD + catalogue.text(connection)


def sum_of_migrations() -> str:
    """What the file should hold, from a new database after every migration."""
    folder = Path(tempfile.mkdtemp(prefix="sluice-schema-"))
    server = embedded.Server(folder, embedded.binaries())
    try:
        server.start()
        with database.connect(server.url()) as connection:
            roles.make_roles(connection, dict.fromkeys(roles.ROLES, "schema"))
        url = server.url("sluice", roles.OWNER, "schema")
        migrate.migrate(url)
        with database.connect(url) as connection:
            return text(connection)
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def main(arguments: list[str]) -> int:
    """Compare, or with ``--write`` renew; exit code 1 when the file is not the sum of the migrations."""
    should = sum_of_migrations()
    if "--write" in arguments:
        FILE.write_text(should, encoding="utf-8")
        return 0
    is_now = FILE.read_text(encoding="utf-8") if FILE.exists() else ""
    lines = (is_now.splitlines(), should.splitlines())
    difference = list(difflib.unified_diff(*lines, FILE.name, "the migrations", n=1, lineterm=""))
    if difference:
        print(*difference, f"{FILE.name} is not the sum of the migrations: run `make schema`", sep=os.linesep)
    return 1 if difference else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
