"""Whether a DAG can be tested as it was asked for: it exists, and its parameters are there and can be used.

Airflow answers a missing parameter with a traceback, after a database was started. This asks the DAG's file first, in a
process of its own: importing Airflow reads settings and makes a home.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sluice.base.settings import PROJECT


class DagParamsError(ValueError):
    """The DAG is unknown, or its parameters are missing or wrong; the message says which, and what to write."""


def check(dag_id: str, conf: str) -> None:
    """Raises DagParamsError unless DAG ``dag_id`` can run with ``conf``, a JSON object or nothing."""
    with tempfile.TemporaryDirectory() as home:
        ours = {
            "AIRFLOW_HOME": home,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        }
        paths = {"PYTHONPATH": os.pathsep.join([str(PROJECT), str(PROJECT / "plugins")])}
        command = [sys.executable, "-m", "sluice.running.dag_params", dag_id, conf, str(Path(home) / "problem")]
        done = subprocess.run(command, env=os.environ | ours | paths, cwd=PROJECT, capture_output=True, text=True)
        if done.returncode != 0:
            raise DagParamsError(f"DAG {dag_id} cannot be looked at:\n{(done.stdout + done.stderr)[-4000:]}")
        if problem := (Path(home) / "problem").read_text(encoding="utf-8"):
            raise DagParamsError(problem)


def find_problem(dag_id: str, conf: str, folder: Path) -> str:
    """A sentence, or "" when all is well. Imports Airflow, and the DAGs of ``folder``."""
    from airflow.dag_processing.dagbag import DagBag

    own = folder / f"{dag_id}.py"
    bag = DagBag(str(own if own.is_file() else folder))
    if (dag := bag.dags.get(dag_id)) is None:
        broken = "".join(f"\n{file}: {str(error).strip()}" for file, error in bag.import_errors.items())
        return f"there is no DAG {dag_id!r}; there are: {', '.join(sorted(bag.dag_ids))}{broken}"
    params = {name: dag.params.get_param(name) for name in dag.params}
    try:
        given = json.loads(conf) if conf.strip() else {}
    except ValueError as error:
        return f"CONF={conf!r} is not JSON ({error}): {_how(dag_id, params)}"
    if not isinstance(given, dict):
        return f"CONF={conf!r} is not a JSON object: {_how(dag_id, params)}"
    return _wrong(dag_id, params, given)


def _wrong(dag_id: str, params: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    problems = [f"it has no parameter {name!r}" for name in given if name not in params]
    for name, param in params.items():
        try:
            param.resolve(*([given[name]] if name in given else []))
        except ValueError as error:
            said = str(error).splitlines()[0] if name in given else f"missing ({param.description})"
            problems.append(f"{name}: {said}")
    return f"DAG {dag_id} cannot run so: {'; '.join(problems)}; {_how(dag_id, params)}" if problems else ""


def _how(dag_id: str, params: Mapping[str, Any]) -> str:
    if not params:
        return f"it takes no parameters: make dags-test DAG={dag_id}"
    needed = {name: _example(param) for name, param in params.items() if _is_needed(param)}
    others = ", ".join(f"{name} ({json.dumps(params[name].value)})" for name in params if name not in needed)
    command = f"make dags-test DAG={dag_id}" + (f" CONF='{json.dumps(needed, ensure_ascii=False)}'" if needed else "")
    return command + (f"; it also takes {others}" if others else "")


def _is_needed(param: Any) -> bool:
    return not param.has_value and "null" not in param.schema.get("type", ())


def _example(param: Any) -> int | str:
    return 7 if "integer" in str(param.schema.get("type")) else "…"


if __name__ == "__main__":
    Path(sys.argv[3]).write_text(find_problem(sys.argv[1], sys.argv[2], PROJECT / "dags"), encoding="utf-8")
