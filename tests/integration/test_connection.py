"""`make connection` tells how a BI tool connects: what it says works, and only reads."""

from __future__ import annotations

import json

import psycopg
import pytest

from sluice.cli import main as cli
from sluice.running.instance import Instance


def test_what_it_tells_connects_as_the_reader_and_only_reads(
    running: Instance, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["connection", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    with psycopg.connect(told["url"], autocommit=True) as tool:
        assert tool.execute("SELECT current_user").fetchone() == ("sluice_reader",)
        assert tool.execute("SELECT count(*) FROM public.events").fetchone() == (0,)
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            tool.execute("DELETE FROM ledger.report_changes")
    parts = {"host": "host", "port": "port", "dbname": "database", "user": "user", "password": "password"}
    with psycopg.connect(**{key: told[name] for key, name in parts.items()}) as tool:
        assert tool.info.user == "sluice_reader"


def test_it_tells_people_the_same(running: Instance, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["connection"]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines.keys() == {"host", "port", "database", "user", "password", "url"}
