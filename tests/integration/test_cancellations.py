"""The sign of cancellations: what a contract says of the file, what events hold, and what revenue comes of it."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from sluice.base import database
from sluice.base.settings import PROJECT, Settings
from sluice.loading.load_file import FileLoader
from sluice.loading.replay import replay
from sluice.proof.reconcile import reconcile
from tests.loading import Connection, change_contract, event_id, rejects, write_contract
from tests.reports import refresh

Load = Callable[..., int]
FEED = "event_id,event_type,timestamp,quantity,price,total_amount"


def feed(settings: Settings, cancellations: str | None, *, total: str | None = None) -> None:
    """Contract events with cancellations of this sign, any amounts, and a total that is read or derived."""
    document = change_contract(settings, **({"cancellations": cancellations} if cancellations else {}))
    columns = {column["name"]: column for column in document["schema"][0]["properties"]}
    columns["event_type"]["enum"].append({"value": "cancellation"})
    for name in ("price", "quantity", "total_amount"):
        columns[name].pop("logicalTypeOptions")
    if total:
        columns["total_amount"]["transformLogic"] = total
    document["schema"][0].pop("quality")
    write_contract(settings, document)


def rows(*lines: str, header: str = FEED) -> str:
    """A file of these rows: type, quantity, price, total."""
    made = []
    for number, line in enumerate(lines, start=1):
        kind, rest = line.split(",", 1)
        made.append(f"{event_id(number)},{kind},2026-01-01T10:00:00Z,{rest}")
    return "\n".join([header, *made]) + "\n"


def amounts(connection: Connection) -> list[tuple[Any, Any]]:
    found = connection.execute("SELECT quantity, total_amount FROM events ORDER BY record_number").fetchall()
    return [(row["quantity"], row["total_amount"]) for row in found]


def revenue(settings: Settings) -> Decimal:
    """The sum of the published report, counted with the reports' own SQL."""
    with database.connect(settings.reader_dsn) as reader:
        refresh(reader, settings)
        row = reader.execute("SELECT sum(revenue) AS revenue FROM report.revenue_by_hour").fetchone()
    assert row is not None
    return Decimal(row["revenue"])


def test_the_worked_example_of_the_documentation_has_the_revenue_that_it_says(
    own_contracts: Settings, epoch: int, land: Load, connection: Connection
) -> None:
    page = (PROJECT / "docs" / "contracts.md").read_text()
    for path in own_contracts.contracts_dir.iterdir():
        path.unlink()
    (own_contracts.contracts_dir / "berlin.odcs.yaml").write_text(page.split("```yaml\n")[1].split("```")[0])
    lines = [line[4:] for line in page.split("from Berlin:")[1].split("```")[0].splitlines() if line.startswith("    ")]
    loader = FileLoader(own_contracts, epoch)
    tally = loader.load(land("\n".join(lines) + "\n"))
    loader.close()
    assert tally.rows_loaded == 2
    assert "Revenue is −1,215.00." in page
    assert revenue(own_contracts) == Decimal("-1215.00")


@pytest.mark.parametrize(("sign", "minus"), [(None, "-"), ("negative", "-"), ("positive", "")])
def test_a_cancellation_is_negative_in_events_whichever_sign_the_file_gives_it(
    own_contracts: Settings, load: Load, connection: Connection, sign: str | None, minus: str
) -> None:
    feed(own_contracts, sign)
    load(
        rows("purchase,3,10,30", f"cancellation,{minus}2,10,{minus}20", f"cancellation,{minus}1,5,", "cancellation,,4,")
    )
    assert amounts(connection) == [(3, Decimal(30)), (-2, Decimal(-20)), (-1, None), (None, None)]
    assert revenue(own_contracts) == Decimal(30 - 20 - 5 - 4)


@pytest.mark.parametrize(("sign", "minus"), [("negative", "-"), ("positive", "")])
def test_a_total_that_is_derived_from_the_quantity_is_negated_once(
    own_contracts: Settings, load: Load, connection: Connection, sign: str, minus: str
) -> None:
    feed(own_contracts, sign, total="quantity * price")
    load(rows("purchase,3,10", f"cancellation,{minus}2,10", header=FEED.removesuffix(",total_amount")))
    assert amounts(connection) == [(3, Decimal(30)), (-2, Decimal(-20))]
    assert revenue(own_contracts) == Decimal(10)


@pytest.mark.parametrize(
    ("sign", "lines"),
    [
        ("negative", ["cancellation,2,10,-20", "cancellation,-2,10,20", "cancellation,,,1", "cancellation,-1,-10,"]),
        ("positive", ["cancellation,-2,10,20", "cancellation,2,10,-20", "cancellation,,,-1", "cancellation,1,-10,"]),
        ("positive", ["cancellation,-9223372036854775808,1,1"]),
    ],
)
def test_a_cancellation_of_the_other_sign_is_set_aside(
    own_contracts: Settings, load: Load, connection: Connection, sign: str, lines: list[str]
) -> None:
    feed(own_contracts, sign)
    file_id = load(rows(*lines, "purchase,1,1,1"))
    found = [(reject["rules"], reject["error_class"]) for reject in rejects(connection, file_id)]
    assert found == [(["cancellation.sign"], "rule")] * len(lines)
    assert len(amounts(connection)) == 1


def test_cancellations_that_were_set_aside_come_back_negative_when_the_contract_knows_their_sign(
    own_contracts: Settings, load: Load, connection: Connection
) -> None:
    feed(own_contracts, None)
    load(rows("cancellation,2,10,20"))
    feed(own_contracts, "positive")
    assert replay(own_contracts).loaded == 1
    assert amounts(connection) == [(-2, Decimal(-20))]


@pytest.mark.parametrize("total", [None, "quantity * price"])
def test_the_recount_knows_the_sign_that_a_cancellation_has_in_events(
    own_contracts: Settings, load: Load, connection: Connection, total: str | None
) -> None:
    feed(own_contracts, "positive", total=total)
    header = FEED.removesuffix(",total_amount") if total else FEED
    more = "" if total else ",20"
    load(rows(f"purchase,2,10{more}", f"cancellation,2,10{more}", header=header))
    assert reconcile(own_contracts, own_contracts.reader_dsn).broken == []
    connection.execute("UPDATE events SET quantity = 2 WHERE event_type = 'cancellation'")
    [sentence] = reconcile(own_contracts, own_contracts.reader_dsn).broken
    assert "quantity is 2, the file says '2'" in sentence
