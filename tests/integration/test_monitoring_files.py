"""The dashboard and the alert rules under include/monitoring: valid, and no figure is named that is not told."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sluice.base.settings import PROJECT, Settings
from sluice.duty import metrics
from sluice.proof.reconcile import reconcile
from sluice.watching.reader import Reader
from tests.loading import Connection, event, table

FOLDER = PROJECT / "include" / "monitoring"
RULES, DASHBOARD = FOLDER / "sluice.rules.yaml", FOLDER / "sluice.dashboard.json"
WEEK = PROJECT / "tests" / "monitoring" / "week.test.yaml"
promtool = pytest.mark.skipif(
    not shutil.which("promtool"), reason="there is no promtool here: Debian's prometheus has it"
)


def expressions() -> Iterator[str]:
    """Every expression in PromQL of the rules and of the dashboard."""
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        yield from (rule["expr"] for rule in group["rules"])
    dashboard = json.loads(DASHBOARD.read_text())
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel.get("targets", []))
    yield from (variable["query"] for variable in dashboard["templating"]["list"] if variable["type"] == "query")


@promtool
def test_the_rules_are_valid() -> None:
    done = subprocess.run(["promtool", "check", "rules", "--lint-fatal", RULES], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@promtool
def test_in_a_week_with_everything_in_it_each_rule_tells_once_and_in_a_quiet_one_none_tells() -> None:
    done = subprocess.run(["promtool", "test", "rules", WEEK], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@promtool
def test_the_week_would_notice_a_rule_that_tells_nothing(tmp_path: Path) -> None:
    changed = RULES.read_text().replace("sluice_recount_holds == 0", "sluice_recount_holds == 2")
    (tmp_path / "rules.yaml").write_text(changed)
    week: dict[str, Any] = yaml.safe_load(WEEK.read_text())
    week["rule_files"] = ["rules.yaml"]
    (tmp_path / "week.yaml").write_text(yaml.safe_dump(week))
    assert subprocess.run(["promtool", "test", "rules", tmp_path / "week.yaml"], capture_output=True).returncode == 1


def test_each_rule_but_that_of_a_recount_left_out_is_played_in_the_week() -> None:
    rules = {rule["alert"] for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]}
    assert rules - set(re.findall(r"\bSluice\w+", WEEK.read_text())) == {"SluiceNotRecounted"}


def test_every_figure_that_they_name_is_told(
    own_contracts: Settings, load: Callable[..., int], connection: Connection, epoch: int
) -> None:
    load(table(event(1), event(2, kind="teleport")), "a.csv")
    assert reconcile(own_contracts, own_contracts.reader_dsn).holds
    connection.execute(
        "INSERT INTO ledger.batches (epoch, lane, batch, duration_ms, durations) "
        """VALUES (%s, 'small', 1, 9, '{"addBatch": 9}')""",
        [epoch],
    )
    reader = Reader(own_contracts)
    try:
        told = set(re.findall(r"^(sluice_\w+)", metrics.exposition(own_contracts, reader).decode(), re.MULTILINE))
    finally:
        reader.close()
    named = {name for expression in expressions() for name in re.findall(r"\bsluice_\w+", expression)}
    assert len(named) > 12
    assert named - told == set()


def test_the_dashboard_s_expressions_are_promql(tmp_path: Path) -> None:
    if not shutil.which("promtool"):
        pytest.skip("there is no promtool here: Debian's prometheus has it")
    rules = [
        {"record": f"panel:{number}", "expr": re.sub(r"\$__\w+", "5m", expression).replace("$contract", ".*")}
        for number, expression in enumerate(expressions())
        if not expression.startswith("label_values(")
    ]
    (tmp_path / "panels.yaml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    done = subprocess.run(["promtool", "check", "rules", tmp_path / "panels.yaml"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_two_panels_of_the_dashboard_lie_on_one_another() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
