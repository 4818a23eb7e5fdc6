"""The columns of table events are the same everywhere; where one is missing, the test names the place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb

from sluice.base import queries
from sluice.base.settings import PROJECT
from sluice.contracts import event_columns
from sluice.contracts.event_columns import EXTRA, MUST_BE_FILLED, PLACE, SIGNED, same_content
from sluice.contracts.parse import parse_contract
from sluice.contracts.sql.output import output
from sluice.reports import definitions
from sluice.reports.statements import Statements
from tests.loading import Connection, event_id, make_months

HERE = "EVENT_COLUMNS of sluice/contracts/event_columns.py"
TABLE = "table public.events (a migration in include/sql/migrations)"
CONTRACT = PROJECT / "include" / "contracts" / "events.odcs.yaml"
PAGE = PROJECT / "docs" / "contracts.md"
VALUES = {
    "uuid": event_id(1),
    "text": "a text",
    "timestamp with time zone": "2026-11-22T10:00:00+00:00",
    "numeric": 1.5,
    "bigint": 7,
    "jsonb": {"more": "of it"},
}


def declared() -> dict[str, str]:
    """Every column with its type, as event_columns says it."""
    return {**event_columns.EVENT_COLUMNS, EXTRA: "jsonb", **dict.fromkeys(PLACE, "bigint")}


def in_table(connection: Connection) -> dict[str, str]:
    """Every column of the table with its type, in order."""
    rows = connection.execute(
        "SELECT attname, format_type(atttypid, NULL) AS type FROM pg_attribute "
        "WHERE attrelid = 'public.events'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
    )
    return {row["attname"]: row["type"] for row in rows}


def row(connection: Connection, *without: str) -> dict[str, object]:
    """A row that has a value in every column of the table, but ``without``."""
    return {name: VALUES[kind] for name, kind in in_table(connection).items() if name not in without}


def problems(connection: Connection) -> list[str]:
    """A sentence for each place that has other columns than event_columns says."""
    should, feeds = list(declared()), list(event_columns.EVENT_COLUMNS)
    receipt = connection.execute("SELECT ledger.receipt_columns() AS names").fetchone()
    assert receipt is not None
    contract = parse_contract(CONTRACT.read_text(encoding="utf-8"), CONTRACT)
    judged = [item.rpartition(" AS ")[2] for item in output(contract, (), ())]
    return [
        *_differs(TABLE, list(in_table(connection)), should),
        *_differs("what the judge makes (sluice/contracts/sql/output.py)", judged, should),
        *_differs(
            "ledger.receipt_columns() (a migration, and a new version of receipts)",
            receipt["names"],
            ["record_number", *(name for name in should if name not in PLACE)],
        ),
        *_not_seen(
            connection, "ledger.row_digest() (a migration, and a new version of receipts)", _digested, PLACE[:1]
        ),
        *_not_seen(connection, f"the comparison of content, from {HERE},", _compared, ("event_id", *PLACE)),
        *_differs("docs/contracts.md", [name for name in feeds if f"`{name}`" in PAGE.read_text()], feeds),
        *_reports(connection),
    ]


def _differs(place: str, names: list[str], should: list[str]) -> Iterator[str]:
    if lacks := [name for name in should if name not in names]:
        yield f"{place} lacks {', '.join(lacks)}"
    if unknown := [name for name in names if name not in should]:
        yield f"{place} has {', '.join(unknown)}, which {HERE} lacks"
    if not lacks and not unknown and names != should:
        yield f"{place} has another order than {HERE}"


def _not_seen(connection: Connection, place: str, sees: sql.Composable, but: Iterable[str]) -> Iterator[str]:
    """A sentence when two rows that differ in one column are the same for ``sees``, an SQL expression of both."""
    for name in in_table(connection):
        if name not in but:
            query = sql.SQL(
                "SELECT {} AS sees FROM jsonb_populate_record(NULL::public.events, %s) AS staged, "
                "jsonb_populate_record(NULL::public.events, %s) AS present"
            ).format(sees)
            seen = connection.execute(query, [Jsonb(row(connection)), Jsonb(row(connection, name))]).fetchone()
            if seen is None or not seen["sees"]:
                yield f"{place} does not see {name}"


_digested = sql.SQL("ledger.row_digest(staged) <> ledger.row_digest(present)")
_compared = sql.SQL("NOT {}").format(same_content("staged", "present"))


def _reports(connection: Connection) -> Iterator[str]:
    """A sentence when a refresh cannot read the table as it is; all reports are made of what it reads."""
    statements = Statements(definitions.read(), {})
    with connection.transaction(force_rollback=True):
        connection.execute(queries.compose("refresh.take_changes"))
        connection.execute(queries.compose("refresh.make_events"))
        try:
            connection.execute(statements.make_rows_that_came())
            connection.execute(statements.fill_events("2026-11-22", sql.Literal("UTC")))
        except psycopg.errors.UndefinedColumn as error:
            yield f"fill_events of include/sql/refresh.sql: {error.diag.message_primary}"


def test_the_columns_of_events_are_the_same_everywhere(connection: Connection) -> None:
    assert problems(connection) == []


def test_types_and_what_must_be_filled_are_those_of_the_table(connection: Connection) -> None:
    long_names = {"timestamptz": "timestamp with time zone"}
    assert in_table(connection) == {name: long_names.get(kind, kind) for name, kind in declared().items()}
    filled = connection.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = 'public.events'::regclass AND attnum > 0 AND attnotnull"
    ).fetchall()
    assert {each["attname"] for each in filled} == {*MUST_BE_FILLED, *PLACE}
    assert {event_columns.EVENT_COLUMNS[name] for name in SIGNED} <= {"numeric", "bigint"}


def test_a_column_that_only_the_table_has_is_named_with_each_place_that_lacks_it(connection: Connection) -> None:
    connection.execute("ALTER TABLE public.events ADD COLUMN colour text")
    assert problems(connection) == [
        f"{TABLE} has colour, which {HERE} lacks",
        "ledger.row_digest() (a migration, and a new version of receipts) does not see colour",
        f"the comparison of content, from {HERE}, does not see colour",
    ]


def test_a_column_that_only_the_contracts_have_is_named_with_each_place_that_lacks_it(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(event_columns.EVENT_COLUMNS, "colour", "text")
    assert problems(connection) == [
        f"{TABLE} lacks colour",
        "ledger.receipt_columns() (a migration, and a new version of receipts) lacks colour",
        "docs/contracts.md lacks colour",
    ]


def test_a_column_that_a_refresh_reads_and_the_table_lacks_is_named(connection: Connection) -> None:
    connection.execute("ALTER TABLE public.events RENAME COLUMN search_results_count TO results")
    assert list(_reports(connection)) == [
        'fill_events of include/sql/refresh.sql: column "search_results_count" does not exist',
    ]


def test_a_row_keeps_each_column_from_staging_to_events_and_to_the_file_that_takes_over(
    connection: Connection,
) -> None:
    cursor = psycopg.RawCursor(connection)
    full = {**row(connection), "file_id": 1}
    make_months(connection, "2026-11-22")
    with connection.transaction():
        queries.run(cursor, "load/load.make_staging")
        queries.run(cursor, "load/withdraw.make_withdrawn")
        queries.run(cursor, "load/withdraw.make_given")
        connection.execute(
            "INSERT INTO staged_events SELECT * FROM jsonb_populate_record(NULL::public.events, %s)", [Jsonb(full)]
        )
        assert queries.run(cursor, "load/load.insert_staged") == 1
        assert _only_row(connection) == full
        queries.run(cursor, "load/withdraw.take_out", 1, "-infinity", "infinity")
        assert _only_row(connection) is None
        queries.run(cursor, "load/takeover.hand_over_rows", 1, 2)
        assert _only_row(connection) == {**full, "file_id": 2}


def _only_row(connection: Connection) -> object:
    found = connection.execute("SELECT to_jsonb(events) AS event FROM public.events").fetchall()
    return found[0]["event"] if found else None
