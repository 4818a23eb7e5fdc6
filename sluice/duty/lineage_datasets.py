"""What OpenLineage is told of data: how datasets are named, their columns, and which column comes of which."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from openlineage.client.event_v2 import InputDataset, OutputDataset
from openlineage.client.facet_v2 import (
    column_lineage_dataset,
    data_quality_assertions_dataset,
    dataset_version_dataset,
    input_statistics_input_dataset,
    output_statistics_output_dataset,
    schema_dataset,
)
from openlineage.client.naming.dataset import LocalFileSystem, Postgres
from psycopg.conninfo import conninfo_to_dict

from sluice.base.settings import Settings
from sluice.contracts.event_columns import EVENT_COLUMNS, EXTRA, PLACE
from sluice.contracts.model import Column, Contract, normal
from sluice.contracts.rules import registry
from sluice.contracts.rules_in_words import OF_NO_CONTRACT, named_in

# Derived columns may be made of derived columns: so deep at most is looked for those of the file.
_DEPTH = 8
# What OpenLineage calls a rule that it knows.
_KNOWN_RULES = {"required": "not_null", "unique": "unique"}

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Database:
    """Where tables are, as OpenLineage names it: the same for all who reach it at the same address."""

    host: str
    port: str
    name: str

    @classmethod
    def of(cls, settings: Settings) -> Database:
        """That of the settings. Raises SettingError when none is set."""
        parts = conninfo_to_dict(settings.reader_dsn)
        host, port = str(parts.get("host") or "localhost"), str(parts.get("port") or 5432)
        return cls(host.split(",")[0], port.split(",")[0], str(parts.get("dbname") or parts.get("user") or "postgres"))

    def table(self, schema: str, name: str) -> Postgres:
        """The name of a table or view."""
        return Postgres(self.host, self.port, self.name, schema, name)


def events_in(database: Database) -> InputDataset:
    """Table events as what is read."""
    naming = database.table("public", "events")
    return InputDataset(namespace=naming.get_namespace(), name=naming.get_name(), facets={"schema": _events_schema()})


def events_out(
    database: Database,
    rows: int,
    lineage: column_lineage_dataset.ColumnLineageDatasetFacet | None = None,
) -> OutputDataset:
    """Table events, into which ``rows`` were written."""
    naming = database.table("public", "events")
    facets: dict[str, Any] = {"schema": _events_schema()}
    if lineage is not None:
        facets["columnLineage"] = lineage
    counted = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(rowCount=rows)
    return OutputDataset(
        namespace=naming.get_namespace(),
        name=naming.get_name(),
        facets=facets,
        outputFacets={"outputStatistics": counted},
    )


def report_out(database: Database, name: str, columns: Iterable[Row]) -> OutputDataset:
    """A table or view of schema report; ``columns`` have a name and a type."""
    naming = database.table("report", name)
    schema = _schema((column["name"], column["type"]) for column in columns)
    return OutputDataset(namespace=naming.get_namespace(), name=naming.get_name(), facets={"schema": schema})


def file_in(
    settings: Settings, file: Row, rows: int | None, contract: Contract | None, broken: Mapping[str, int] | None
) -> InputDataset:
    """A landed file, by the place where it landed; its version is the hash of its bytes.

    ``rows`` are those that were read; ``broken`` says by rule how many broke it, None that it is not known.
    """
    naming = _file_name(settings, file)
    facets: dict[str, Any] = {
        "version": dataset_version_dataset.DatasetVersionDatasetFacet(datasetVersion=f"sha256:{file['sha256']}")
    }
    if file["header"]:
        facets["schema"] = _schema((name, _type_in_file(contract, name)) for name in file["header"])
    counted = input_statistics_input_dataset.InputStatisticsInputDatasetFacet(
        rowCount=rows, size=file["bytes"], fileCount=1
    )
    input_facets: dict[str, Any] = {"inputStatistics": counted}
    if broken is not None:
        asserted = list(assertions(contract, broken, file["rows_warned"] or 0, file["header"] or ()))
        input_facets["dataQualityAssertions"] = data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet(
            assertions=asserted
        )
    return InputDataset(
        namespace=naming.get_namespace(), name=naming.get_name(), facets=facets, inputFacets=input_facets
    )


def column_lineage(
    settings: Settings, file: Row, contract: Contract
) -> column_lineage_dataset.ColumnLineageDatasetFacet:
    """Which columns of the file each column of events comes of; what no column describes goes to ``extra``."""
    naming, header = _file_name(settings, file), file["header"] or contract.own_header
    fields: dict[str, column_lineage_dataset.Fields] = {}
    in_events: set[str] = set()
    for column in contract.columns:
        if column.target:
            names = set(_of_file(contract, column))
            if column.transform is None:
                in_events |= set(column.names)
            sources = [name for name in header if normal(name) in names]
            fields[column.target] = column_lineage_dataset.Fields(
                inputFields=[_input_field(naming, name, _transformation(column)) for name in sources]
            )
    if others := [name for name in header if normal(name) not in in_events]:
        kept = column_lineage_dataset.Transformation(type="DIRECT", subtype="TRANSFORMATION", description="as JSON")
        fields[EXTRA] = column_lineage_dataset.Fields(inputFields=[_input_field(naming, name, kept) for name in others])
    return column_lineage_dataset.ColumnLineageDatasetFacet(fields=fields)


def assertions(
    contract: Contract | None, broken: Mapping[str, int], warned: int, header: Sequence[str] = ()
) -> Iterator[data_quality_assertions_dataset.Assertion]:
    """What was asked of the rows, and whether all of them kept it; ``warned`` rows broke a rule that only warns.

    A rule of a column is said of the column of the file, by its name in ``header``, where there is one.

    Of rules that only warn it is not known which were broken, when there are several: they are left out then.
    """
    checks = registry.checks(contract) if contract else []
    warnings = [check for check in checks if check.severity == "warn"]
    predicates = {each.name: each for each in contract.predicates} if contract else {}
    columns = _in_header(contract, header) if contract else {}
    said = set()
    for check in checks:
        said.add(check.rule)
        if check.severity != "warn":
            yield _assertion(check.rule, broken.get(check.rule, 0), predicates, columns)
        elif not warned or len(warnings) == 1:
            yield _assertion(check.rule, warned, predicates, columns, severity="warn")
    for rule in sorted(set(broken) - said):
        yield _assertion(rule, broken[rule], predicates, columns)


def _in_header(contract: Contract, header: Sequence[str]) -> dict[str, str]:
    """What the file calls the columns of the contract; one that is made of others is called nothing there."""
    found = {normal(name): name for name in header}
    plain = [column for column in contract.columns if column.transform is None]
    return {column.name: found[name] for column in plain for name in column.names if name in found}


def _assertion(
    rule: str, rows: int, predicates: Mapping[str, Any], columns: Mapping[str, str], severity: str = "error"
) -> data_quality_assertions_dataset.Assertion:
    column, _, kind = rule.rpartition(".")
    predicate = predicates.get(rule)
    return data_quality_assertions_dataset.Assertion(
        assertion="custom_sql" if predicate else _KNOWN_RULES.get(kind, kind),
        success=rows == 0,
        column=None if predicate else columns.get(column),
        severity=severity,
        name=rule,
        description=OF_NO_CONTRACT.get(rule) or (predicate.description if predicate else "") or None,
        expected="0",
        actual=str(rows),
        content=predicate.sql if predicate else None,
        contentType="sql" if predicate else None,
    )


def _file_name(settings: Settings, file: Row) -> LocalFileSystem:
    return LocalFileSystem(str(settings.incoming_dir / file["name"]))


def _input_field(
    naming: LocalFileSystem, field: str, how: column_lineage_dataset.Transformation
) -> column_lineage_dataset.InputField:
    return column_lineage_dataset.InputField(
        namespace=naming.get_namespace(), name=naming.get_name(), field=field, transformations=[how]
    )


def _transformation(column: Column) -> column_lineage_dataset.Transformation:
    if column.transform is not None:
        description = column.transform
    elif column.value_map:
        description = "values mapped: " + json.dumps(dict(column.value_map), ensure_ascii=False)
    elif column.kind == "text" and not column.trim:
        return column_lineage_dataset.Transformation(type="DIRECT", subtype="IDENTITY", masking=False)
    else:
        description = f"read as {column.logical_type}, kept as {column.kind}"
    return column_lineage_dataset.Transformation(
        type="DIRECT", subtype="TRANSFORMATION", description=description, masking=False
    )


def _of_file(contract: Contract, column: Column, depth: int = _DEPTH) -> Iterator[str]:
    """The names, normalised, that the header may have for what the column is made of."""
    if column.transform is None:
        yield from column.names
    elif depth:
        for source in named_in(contract, column.transform):
            if source is not column:
                yield from _of_file(contract, source, depth - 1)


def _type_in_file(contract: Contract | None, name: str) -> str:
    columns = contract.read_columns if contract else ()
    return next((column.logical_type for column in columns if normal(name) in column.names), "string")


def _events_schema() -> schema_dataset.SchemaDatasetFacet:
    return _schema([*EVENT_COLUMNS.items(), (EXTRA, "jsonb"), *((name, "bigint") for name in PLACE)])


def _schema(columns: Iterable[tuple[str, str]]) -> schema_dataset.SchemaDatasetFacet:
    return schema_dataset.SchemaDatasetFacet(
        fields=[
            schema_dataset.SchemaDatasetFacetFields(name=name, type=kind, ordinal_position=place)
            for place, (name, kind) in enumerate(columns, start=1)
        ]
    )
