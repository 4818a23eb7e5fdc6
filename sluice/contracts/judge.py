"""Judges blocks of records: which rows are good, in the types that COPY takes, and which rules the others break."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sluice.base import queries
from sluice.base.settings import SQL
from sluice.base.spill import Spill
from sluice.contracts import problems
from sluice.contracts.event_columns import EVENT_COLUMNS
from sluice.contracts.matching import Match
from sluice.contracts.model import Contract, ContractError
from sluice.contracts.shapes import NOTHING, Known, look
from sluice.contracts.sql.query import compile_extra, compile_query, taken_over
from sluice.contracts.sql.text import literal
from sluice.reading.block import Block

_FEW_ROWS = 32
# The columns of a judged row: what COPY takes, and what is decided by.
_COPIED = (*EVENT_COLUMNS, "extra", "file_id", "record_number")
_DECIDING = ("__row", "broken_rules", "is_type", "fails_file")
Integers = npt.NDArray[np.int64]


class BlockTooLargeError(ValueError):
    """Rows of a file are too wide for the memory that a task may take; the message says how to go on."""


@dataclass(frozen=True)
class Judgement:
    """A judged block: ``good`` has the columns of events in COPY's types; ``bad`` are rows of the block and why."""

    good: pa.Table
    bad: list[tuple[int, list[str], str]]
    failed: list[tuple[int, list[str]]]
    warned: int


class Judge:
    """Judges blocks of one file. Not thread-safe; one a process is enough.

    One DuckDB thread and ``memory_limit`` (DuckDB's own notation) of memory; what needs more spills to a temporary
    folder.
    """

    def __init__(self, memory_limit: str = "256MB") -> None:
        self._spill = Spill()
        weakref.finalize(self, self._spill.close)
        self._duckdb = duckdb.connect(
            config={
                "threads": 1,
                "memory_limit": memory_limit,
                "temp_directory": str(self._spill.path),
                "autoload_known_extensions": False,
                "autoinstall_known_extensions": False,
            }
        )
        self._duckdb.execute("SET enable_external_access = false")
        # What stands twice in an expression would be computed outside of the TRY around it, and raise for all rows.
        self._duckdb.execute("SET disabled_optimizers = 'common_subexpressions'")
        self._duckdb.execute(queries.script(SQL / "load" / "judge_macros.sql"))
        self._memory_limit = memory_limit
        self._checked: weakref.WeakSet[Contract] = weakref.WeakSet()

    def close(self) -> None:
        """Free DuckDB's memory and files."""
        self._duckdb.close()
        self._spill.close()

    def problems(self, contract: Contract) -> list[str]:
        """What is wrong with the contract's own SQL: place, reason and remedy; empty when nothing is."""
        return problems.problems(self._duckdb, contract)

    def warnings(self, contract: Contract) -> list[str]:
        """What of a sound contract's SQL is likely a mistake: place, reason and remedy."""
        return problems.warnings(self._duckdb, contract)

    def judge(
        self, block: Block, match: Match, *, file_id: int, sha256: str, landed_at: int | None = None
    ) -> Judgement:
        """Judge every readable row of ``block``; ``landed_at``: when its file landed, in microseconds since 1970.

        Raises ContractError when the contract's own SQL does not run, BlockTooLargeError when not even a few rows can
        be judged in the memory there is, duckdb.IOException when the temporary folder is full.
        """
        self._check(match.contract)
        rows = len(block.record_numbers)
        records = block.columns.append_column("record_number", pa.array(block.record_numbers, pa.int64()))
        records = records.append_column("row", pa.array(np.arange(rows), pa.int64()))
        self._duckdb.execute(f"SET TimeZone = {literal(match.contract.timezone)}")
        self._duckdb.execute(f"SET VARIABLE sluice_landed_at = {'NULL' if landed_at is None else int(landed_at)}")
        return _divide(self._rows(records, match, file_id, sha256), block.stray_quotes)

    def _rows(self, records: pa.Table, match: Match, file_id: int, sha256: str) -> pa.Table:
        """The rows of events, and what each row breaks."""
        seen = look(records, match)
        if not len(seen.odd):
            return self._alike(records, match, seen.known, seen.ids, file_id, sha256)
        is_odd = np.zeros(records.num_rows, bool)
        is_odd[seen.odd] = True
        alike = pa.array(~is_odd)
        ids = None if seen.ids is None else seen.ids.filter(alike)
        return pa.concat_tables(
            [
                self._alike(records.filter(alike), match, seen.known, ids, file_id, sha256),
                self._alike(records.take(seen.odd), match, NOTHING, None, file_id, sha256),
            ]
        )

    def _alike(
        self, records: pa.Table, match: Match, known: Known, ids: pa.Array | None, file_id: int, sha256: str
    ) -> pa.Table:
        """As ``_rows``, of rows of which all that is ``known`` is true."""
        judged = pa.concat_tables(self._judged(records, match, known, file_id, sha256))
        if not judged["__row"].combine_chunks().equals(records["row"].combine_chunks()):
            raise AssertionError("the judge's rows are not in the order of the records")
        taken = {
            target: ids if ids is not None and at in known.uuids else records[f"c{at}"]
            for target, at in taken_over(match, known).items()
        }
        of_query = (*(name for name in _COPIED if name not in taken), *_DECIDING, "warned")
        made = {name: judged[name] for name in of_query}
        return pa.table({name: (taken | made)[name] for name in (*_COPIED, *_DECIDING, "warned")})

    def _judged(self, records: pa.Table, match: Match, known: Known, file_id: int, sha256: str) -> list[pa.Table]:
        query, names = compile_query(match, known)
        try:
            return [self._run(query, self._together(records, match), [file_id, sha256, *names])]
        except duckdb.OutOfMemoryException as error:
            if records.num_rows <= _FEW_ROWS:
                raise BlockTooLargeError(
                    f"{records.num_rows} rows of {len(match.header)} columns do not fit into SLUICE_DUCKDB_MEMORY="
                    f"{self._memory_limit}: raise it, or land narrower files"
                ) from error
        except (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException) as error:
            raise ContractError(f"{match.contract.path.name}: its SQL does not run: {error}") from error
        half = records.num_rows // 2
        parts = (records.slice(0, half), records.slice(half))
        return [judged for part in parts for judged in self._judged(part, match, known, file_id, sha256)]

    def _together(self, records: pa.Table, match: Match) -> pa.Table:
        """The records with the columns put together that the contract does not know, when these are many."""
        parts = compile_extra(match)
        if not parts:
            return records
        made = [self._run(part.query, records.select(part.fields), part.parameters)["extra"] for part in parts]
        taken = {field for part in parts for field in part.fields}
        records = records.select([i for i in range(records.num_columns) if i not in taken])
        for number, texts in enumerate(made):
            records = records.append_column(f"__extra_{number}", texts)
        return records

    def _run(self, query: str, records: pa.Table, parameters: Sequence[object]) -> pa.Table:
        self._duckdb.register("records", records)
        try:
            return self._duckdb.sql(query, params=list(parameters)).to_arrow_table()
        finally:
            self._duckdb.unregister("records")

    def _check(self, contract: Contract) -> None:
        if contract in self._checked:
            return
        if problems := self.problems(contract):
            raise ContractError(f"{contract.path.name}: {'; '.join(problems)}")
        self._checked.add(contract)


def _divide(judged: pa.Table, stray_quotes: Integers) -> Judgement:
    warned = len(np.union1d(judged["__row"].filter(pc.equal(judged["warned"], 1)).to_numpy(), stray_quotes))
    events, rules = judged.select(_COPIED), judged["broken_rules"]
    if rules.null_count == len(rules):
        return Judgement(_in_order(events, None), [], [], warned)
    is_good = pc.is_null(rules).to_numpy()
    bad = judged.select(_DECIDING).take(np.flatnonzero(~is_good)).to_pylist()
    bad.sort(key=lambda row: row["__row"])
    return Judgement(
        _in_order(events, np.flatnonzero(is_good)),
        [(row["__row"], row["broken_rules"], "type" if row["is_type"] else "rule") for row in bad],
        [(row["__row"], row["broken_rules"]) for row in bad if row["fails_file"]],
        warned,
    )


def _in_order(events: pa.Table, rows: Integers | None) -> pa.Table:
    """The good ``rows`` (all when None) by event_id: so an index of random ids takes them page by page.

    PostgreSQL needs a third less time for them than in the order of the file.
    """
    ids = events["event_id"] if rows is None else events["event_id"].take(rows)
    order = _order(ids)
    if order is None:
        return events if rows is None else events.take(rows)
    return events.take(order if rows is None else rows[order])


def _order(ids: pa.ChunkedArray) -> Integers | None:
    """Indices that put ``ids``, of 16 bytes each, in order; None when they are in it."""
    if not len(ids):
        return None
    whole = ids.combine_chunks()
    _, offsets, data = whole.buffers()
    first = np.frombuffer(offsets, np.int32, 1, 4 * whole.offset)[0]
    high, low = np.frombuffer(data, ">u8", 2 * len(whole), int(first)).reshape(-1, 2).T.astype(np.uint64)
    if (high[1:] > high[:-1]).all():
        return None
    order = np.argsort(high, kind="stable")
    has_equal = (high[order[1:]] == high[order[:-1]]).any()
    return np.lexsort((low, high)) if has_equal else order
