"""Compares ``include/sql/schema.sql`` with the sum of the migrations, on a server of its own; ``--write`` renews it.

What has broken readers since the last release is told as well. ``--release x.y.z`` makes that an error, unless this
version says so.
"""

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
from sluice.base.settings import PROJECT, SQL
from sluice.ledger import catalogue, migrate, readers, roles
from sluice.reports import tables
from sluice.running import embedded

FILE = SQL / "schema.sql"
RELEASED = PROJECT / "include" / "released"
_HEAD = """\
-- The schema that all migrations together make, with its grants. `make schema` writes it, `make check` compares it:
-- nothing runs it, a change of the schema is a migration. What may be done with the tables of schema report is not said
-- here: it follows from the files of the reports, and so do tables that no migration makes.

"""


def text(connection: psycopg.Connection[dict[str, Any]]) -> str:
    """What the file should hold when the database of ``connection`` is the sum of the migrations."""
    return _HEAD + catalogue.text(connection)


def sum_of_migrations() -> tuple[str, str]:
    """What the file should hold, from a new database after every migration; and the same with the reports' tables."""
    folder = Path(tempfile.mkdtemp(prefix="sluice-schema-"))
    server = embedded.Server(folder, embedded.binaries())
    try:
        server.start()
        with database.connect(server.url()) as connection:
            roles.make_roles(connection, dict.fromkeys(roles.ROLES, "schema"))
        url = server.url("sluice", roles.OWNER, "schema")
        migrate.migrate(url)
        with database.connect(url) as connection:
            migrated = text(connection)
        tables.make(url)
        with database.connect(url) as connection:
            return migrated, text(connection)
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def main(arguments: list[str]) -> int:
    """Compare, or with ``--write`` renew; exit code 1 when the file is not the sum, or the release may not break."""
    should, with_reports = sum_of_migrations()
    if "--write" in arguments:
        FILE.write_text(should, encoding="utf-8")
        return 0
    lines, may_be = promises(with_reports, arguments[1] if arguments[:1] == ["--release"] else None)
    print("\n".join(lines), end="\n" if lines else "")
    is_sum = _is_sum(should)
    return 0 if is_sum and may_be else 1


def promises(schema: str, version: str | None, released: Path = RELEASED) -> tuple[list[str], bool]:
    """What of ``schema`` breaks those who read since ``released``, in lines; whether ``version`` may be released so.

    Without a version nothing is released, and all may be.
    """
    try:
        last = (released / "version").read_text(encoding="utf-8").strip()
        broken = readers.breaks((released / "schema.sql").read_text(encoding="utf-8"), schema)
    except FileNotFoundError:
        return [], True
    if not broken or (version is not None and readers.may_break(last, version)):
        return [], True
    lines = [f"breaks readers since v{last}: {line}" for line in broken]
    return [*lines, f"needs a new major version, before 1.0.0 a new minor one, after {last}"], version is None


def _is_sum(should: str) -> bool:
    """Whether the file is ``should``; prints what differs."""
    is_now = FILE.read_text(encoding="utf-8") if FILE.exists() else ""
    texts = (is_now.splitlines(), should.splitlines())
    difference = list(difflib.unified_diff(*texts, FILE.name, "the migrations", n=1, lineterm=""))
    if difference:
        print(*difference, f"{FILE.name} is not the sum of the migrations: run `make schema`", sep=os.linesep)
    return not difference


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
