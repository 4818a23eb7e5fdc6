"""OpenLineage's events of one piece of news: a run that began and ended, what it read, what it wrote.

The ids of runs follow from the ledger alone, so that who tells the same news again names the same run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.facet_v2 import error_message_run, job_type_job, parent_run
from openlineage.client.uuid import generate_static_uuid

from sluice.base.settings import Settings
from sluice.contracts.folder import Contracts
from sluice.contracts.model import Contract
from sluice.duty import lineage_datasets
from sluice.duty.lineage_datasets import Database
from sluice.ledger import news
from sluice.ledger.news import News

# Of our jobs. Airflow's own provider for OpenLineage has "default" until it is told this one.
NAMESPACE = "sluice"
PRODUCER = "urn:sluice:lineage"

# A run of Airflow's: scheduled__2026-11-30T15:00:00+00:00, or the same with a few letters after it.
_RUN_ID = re.compile(r"^[a-z_]+__(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:[+-]\d\d:\d\d|Z))")
_JOBS = {
    news.LOADED: "load",
    news.REJECTED: "load",
    news.CHANGED: "correct",
    news.WITHDRAWN: "withdraw",
}

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Known:
    """What events are made of: the ledger's id, its database, today's contracts, files and their broken rules, reports.

    ``broken`` are rows by file and rule; ``reports`` the columns of each table and view of schema report.
    """

    settings: Settings
    ledger_id: str
    contracts: Contracts
    files: Mapping[int, Row] = field(default_factory=dict)
    broken: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    reports: Mapping[str, list[Row]] = field(default_factory=dict)

    @property
    def database(self) -> Database:
        """Where events and reports are."""
        return Database.of(self.settings)

    def contract_of(self, file: Row) -> Contract | None:
        """The contract under which the file was judged, while the folder has it in that version."""
        for contract in self.contracts.usable:
            if (contract.name, contract.version) == (file["contract"], file["contract_version"]):
                return contract
        return None


def events_of(each: News, known: Known) -> list[RunEvent]:
    """The run's beginning and its end; nothing of a file that the ledger does not know."""
    if each.kind == news.REFRESHED:
        return _refresh(each, known)
    file = known.files.get(each.file_id or 0)
    return _of_file(each, file, known) if file else []


def _of_file(each: News, file: Row, known: Known) -> list[RunEvent]:
    is_load = each.kind in (news.LOADED, news.REJECTED)
    contract = known.contract_of(file)
    details = each.details
    job = _job(f"{_JOBS[each.kind]}.{file['contract'] or 'unknown'}")
    broken = known.broken.get(file["file_id"], {}) if is_load else None
    source = lineage_datasets.file_in(known.settings, file, details["rows_read"] if is_load else None, contract, broken)
    lineage = lineage_datasets.column_lineage(known.settings, file, contract) if contract else None
    written = _rows_written(each)
    target = lineage_datasets.events_out(known.database, written, lineage=lineage if written else None)
    facets: dict[str, Any] = {}
    if each.kind == news.REJECTED:
        facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(
            message=str(file["error"] or "rejected"), programmingLanguage="Python"
        )
    if is_load and (parent := _parent("ingest_events", file["run_id"])):
        facets["parent"] = parent
    run = Run(runId=_run_id(each, known, file["sha256"]), facets=facets)
    end = RunState.FAIL if each.kind == news.REJECTED else RunState.COMPLETE
    begun = min(file["moved_at"], each.at) if is_load else each.at
    return _begin_and_end(job, run, begun, each.at, [source], [target], end)


def _rows_written(each: News) -> int:
    """How many rows the run brought to events; none where it took rows out."""
    if each.kind == news.LOADED:
        return int(each.details["rows_loaded"])
    if each.kind == news.CHANGED:
        return max(0, int(each.details["rows_loaded"]) - int(each.details["rows_before"] or 0))
    return 0


def _refresh(each: News, known: Known) -> list[RunEvent]:
    details = each.details
    outputs = [lineage_datasets.report_out(known.database, name, rows) for name, rows in sorted(known.reports.items())]
    parent = _parent("report_sales", details["built_by"])
    run = Run(runId=_run_id(each, known, details["built_by"]), facets={"parent": parent} if parent else {})
    begun = min(_moment(details["as_of"]), each.at)
    inputs = [lineage_datasets.events_in(known.database)]
    return _begin_and_end(_job("refresh_reports"), run, begun, each.at, inputs, outputs, RunState.COMPLETE)


def _begin_and_end(
    job: Job,
    run: Run,
    begun: datetime,
    ended: datetime,
    inputs: list[InputDataset],
    outputs: list[OutputDataset],
    state: RunState,
) -> list[RunEvent]:
    """The beginning names what is read and written; the end says the rest."""
    parent = {name: facet for name, facet in (run.facets or {}).items() if name == "parent"}
    bare_inputs = [InputDataset(namespace=each.namespace, name=each.name) for each in inputs]
    bare_outputs = [OutputDataset(namespace=each.namespace, name=each.name) for each in outputs]
    start = RunEvent(
        eventType=RunState.START,
        eventTime=_text(begun),
        run=Run(runId=run.runId, facets=parent),
        job=job,
        inputs=bare_inputs,
        outputs=bare_outputs,
        producer=PRODUCER,
    )
    end = RunEvent(
        eventType=state, eventTime=_text(ended), run=run, job=job, inputs=inputs, outputs=outputs, producer=PRODUCER
    )
    return [start, end]


def _job(name: str) -> Job:
    kind = job_type_job.JobTypeJobFacet(processingType="BATCH", integration="SLUICE", jobType="JOB")
    return Job(namespace=NAMESPACE, name=name, facets={"jobType": kind})


def _run_id(each: News, known: Known, what: str) -> str:
    data = f"{NAMESPACE}.{known.ledger_id}.{each.news_id}.{each.kind}.{what}"
    return str(generate_static_uuid(each.at, data.encode()))


def _parent(dag_id: str, run_id: str | None) -> parent_run.ParentRunFacet | None:
    """The DAG's run, by the id that Airflow's own provider for OpenLineage gives it; None when it was no such run."""
    found = _RUN_ID.match(run_id or "")
    if found is None:
        return None
    instant = _moment(found[1])
    parent = generate_static_uuid(instant, f"{NAMESPACE}.{dag_id}.0".encode())
    return parent_run.ParentRunFacet(
        run=parent_run.Run(runId=str(parent)), job=parent_run.Job(namespace=NAMESPACE, name=dag_id)
    )


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
