"""The wiring of DAG backup: by hand only, unless a setting says how often."""

from __future__ import annotations

import importlib
from datetime import timedelta

import pytest

from dags import backup


@pytest.mark.parametrize(("hours", "schedule"), [("", None), ("0", None), ("24", timedelta(hours=24))])
def test_it_runs_as_often_as_the_setting_says(
    hours: str, schedule: timedelta | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLUICE_BACKUP_EVERY_HOURS", hours)
    dag = importlib.reload(backup).backup()
    assert (dag.dag_id, dag.schedule, dag.catchup, dag.max_active_runs) == ("backup", schedule, False, 1)
    assert [task.task_id for task in dag.tasks] == ["make_backup"]
