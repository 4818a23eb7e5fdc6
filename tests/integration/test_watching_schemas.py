"""The schema of a contract's files over time."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sluice.base.settings import Settings
from sluice.watching import schemas
from sluice.watching.reader import Reader
from sluice.watching.unknown import UnknownError
from tests.integration.conftest import Land
from tests.integration.test_watching_files import Watched
from tests.loading import HEADER, Connection, event, table

_FILE = """
    INSERT INTO ledger.files (
        name, path, sha256, bytes, state, contract, contract_version, header, drift, filled, rows_read, rows_loaded,
        rows_rejected, rows_duplicate, landed_at, loaded_at
    )
    SELECT
        'shop.csv', '', encode(sha256((random()::text)::bytea), 'hex'), 1, 'loaded', %(contract)s, %(version)s,
        %(header)s, %(drift)s, %(filled)s, 1, 1, 0, 0, now(), now()
    FROM generate_series(1, %(files)s)
"""


def note(
    connection: Connection,
    header: list[str],
    filled: dict[str, int],
    drift: dict[str, Any] | None = None,
    *,
    contract: str = "shop",
    version: str = "1",
    files: int = 1,
) -> None:
    values = {"header": json.dumps(header), "filled": json.dumps(filled), "drift": json.dumps(drift) if drift else None}
    connection.execute(_FILE, values | {"contract": contract, "version": version, "files": files})


def test_columns_that_came_went_and_were_renamed_are_told_from_file_to_file(connection: Connection) -> None:
    half = {"rows": 10, "price": 5}
    note(connection, ["id", "price", "note"], half)
    note(connection, ["id", "price", "note"], half)
    note(connection, ["id", "price", "voucher"], half, {"new": ["voucher"]})
    note(connection, ["id", "prise", "voucher"], half, {"renamed": {"Price": "prise"}})
    note(connection, ["id", "prise", "voucher"], {"rows": 10, "price": 0}, {"empty": ["price"]}, version="2")
    told = schemas.schema(connection, "shop")
    changes = [
        {name: change[name] for name in ("came", "went", "renamed", "emptied", "versions")}
        for change in told["changes"]
    ]
    nothing: dict[str, Any] = {"came": [], "went": [], "renamed": [], "emptied": [], "versions": None}
    assert changes == [
        nothing | {"emptied": ["price"], "versions": ("1", "2")},
        nothing | {"renamed": [{"from": "price", "to": "prise"}]},
        nothing | {"came": ["voucher"], "went": ["note"]},
    ]
    assert (told["files"], told["is_all"], told["changes_in_all"]) == (5, True, 3)
    assert told["columns"] == [
        {"column": "price", "points": [0.5, 0.5, 0.5, 0.5, 1.0], "last": 1.0, "least": 0.5, "most": 1.0}
    ]


def test_files_without_rows_and_columns_of_later_say_nothing_of_shares(connection: Connection) -> None:
    note(connection, ["id"], {"rows": 0, "price": 0})
    note(connection, ["id"], {"rows": 4, "price": 4})
    note(connection, ["id"], {"rows": 4, "price": 1, "voucher": 4})
    columns = {one["column"]: one["points"] for one in schemas.schema(connection, "shop")["columns"]}
    assert columns == {"price": [None, 0.0, 0.75], "voucher": [None, None, 0.0]}


def test_only_the_newest_files_are_looked_at_however_many_there_are(connection: Connection) -> None:
    note(connection, ["id"], {"rows": 1, "price": 1}, files=3000)
    note(connection, ["id"], {"rows": 1, "price": 0}, files=300)
    note(connection, ["id"], {"rows": 1}, contract="another", files=3000)
    connection.execute("VACUUM ANALYZE ledger.files")
    watched: Any = Watched(connection)
    with connection.transaction():
        told = schemas.schema(watched, "shop")
        listed = schemas.contracts(watched)
    assert (told["files"], told["is_all"]) == (500, False)
    (column,) = told["columns"]
    assert len(column["points"]) <= 60
    assert (column["points"][0], column["last"]) == (0.0, 1.0)
    assert [one["contract"] for one in listed] == ["another", "shop"]
    assert [plan for plan in watched.plans if "Seq Scan on files" in plan] == []


def test_a_contract_without_a_loaded_file_is_not_there(connection: Connection) -> None:
    with pytest.raises(UnknownError) as raised:
        schemas.schema(connection, "shop")
    assert raised.value.code == "unknown_contract"


def test_what_a_load_notes_is_what_is_told(settings: Settings, load: Land) -> None:
    load(table(event(1), event(2)))
    load(table(event(3)).replace(HEADER, f"{HEADER},voucher").replace(",\n", ",,v\n"), "other.csv")
    reader = Reader(settings)
    with reader.asking() as asking:
        told = schemas.schema(asking, "events")
        (listed,) = schemas.contracts(asking)
    reader.close()
    assert told["changes"][0]["came"] == ["voucher"]
    assert {one["column"]: one["last"] for one in told["columns"]}["search_query"] == 1.0
    assert (listed["contract"], listed["name"]) == ("events", "other.csv")
    assert listed["drift"] == {"new": ["voucher"]}
