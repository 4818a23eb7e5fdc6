"""Rows set aside: gathered while a file is read, copied to ``ledger.rejects`` in the file's own transaction."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from sluice.contracts.matching import Match
from sluice.loading.writer_session import WriterSession
from sluice.reading.block import Block, BrokenRecord

_BUFFERED_BYTES = 8 << 20
# Of a contract with more columns rejects are counted by the kind of rule alone: each name is a series of a monitor.
COUNTED_BY_COLUMN_MAX = 50
_SCHEMA = pa.schema(
    [
        ("file_id", pa.int64()),
        ("record_number", pa.int64()),
        ("line_number", pa.int64()),
        ("raw", pa.binary()),
        ("fields", pa.binary()),
        ("rules", pa.list_(pa.string())),
        ("error_class", pa.string()),
        ("contract", pa.string()),
        ("contract_version", pa.string()),
    ]
)


class Rejects:
    """The rejects of one file. ``count`` is how many were added, ``by_rule`` how many break each rule; memory stays
    bounded, they are copied as they come.

    ``into``: another table than the ledger's, for rejects that may be needed; without a schema a temporary one.
    """

    def __init__(
        self, session: WriterSession, file_id: int, match: Match, into: tuple[str, str | None] = ("rejects", "ledger")
    ) -> None:
        self._table, self._schema = into
        self._session = session
        self._file_id = file_id
        self._match = match
        self._is_narrow = len(match.contract.columns) <= COUNTED_BY_COLUMN_MAX
        self._rows: list[dict[str, Any]] = []
        self._bytes = 0
        self.count = 0
        self.by_rule: Counter[str] = Counter()

    def add(self, block: Block, bad: Sequence[tuple[int, list[str], str]]) -> None:
        """Add the block's broken records, and its rows ``bad``: (row, rules broken, error class)."""
        for record in block.broken:
            self._add(
                record.record_number,
                record.line_number,
                record.raw,
                named(self._match, record),
                [record.rule],
                "parse",
            )
        if bad:
            rows = block.columns.take([row for row, _, _ in bad]).to_pylist()
            for (row, rules, error_class), values in zip(bad, rows, strict=True):
                fields = {name: values[f"c{i}"] for i, name in enumerate(self._match.field_names)}
                number, line = int(block.record_numbers[row]), int(block.line_numbers[row])
                self._add(number, line, block.raw(row), fields, rules, error_class)

    def flush(self) -> None:
        """Copy what was added since the last flush."""
        if self._rows:
            self._session.copy(pa.Table.from_pylist(self._rows, _SCHEMA), self._table, schema=self._schema)
        self._rows, self._bytes = [], 0

    def _add(
        self, number: int, line: int, raw: bytes, fields: dict[str, str | None], rules: list[str], error_class: str
    ) -> None:
        contract = self._match.contract
        self._rows.append(
            {
                "file_id": self._file_id,
                "record_number": number,
                "line_number": line,
                "raw": raw,
                "fields": as_jsonb(fields),
                "rules": rules,
                "error_class": error_class,
                "contract": contract.name,
                "contract_version": contract.version,
            }
        )
        self.count += 1
        self.by_rule.update(set(rules if self._is_narrow else (rule.rpartition(".")[2] for rule in rules)))
        self._bytes += 2 * len(raw) + 500
        if self._bytes > _BUFFERED_BYTES:
            self.flush()


def as_jsonb(fields: dict[str, str | None]) -> bytes:
    """``fields`` as PostgreSQL's binary jsonb: version byte 1, then the text; NUL, which it cannot hold, as \\0."""
    safe = {without_nul(name): value if value is None else without_nul(value) for name, value in fields.items()}
    return b"\x01" + json.dumps(safe, ensure_ascii=False).encode("utf-8", "backslashreplace")


def header_text(header: Sequence[str]) -> str:
    """A header as JSON text: its names in the file's order, spelled as in ``fields``."""
    return json.dumps([without_nul(name) for name in header], ensure_ascii=False)


def without_nul(text: str) -> str:
    """``text`` as jsonb can hold it."""
    return text.replace("\0", "\\0")


def named(match: Match, record: BrokenRecord) -> dict[str, str | None]:
    """A broken record's fields under the header's names as far as both go; what is beyond them by number."""
    names = list(match.field_names) + [f"column_{i + 1}" for i in range(len(match.header), len(record.fields))]
    return dict(zip(names, record.fields, strict=False))
