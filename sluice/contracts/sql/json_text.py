"""SQL that writes JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence

from sluice.contracts.model import Column
from sluice.contracts.sql.text import literal
from sluice.contracts.sql.values import typed_as


def as_json(value: str, column: Column | None = None) -> str:
    """JSON text of a value. Decimals are written digit by digit: to_json takes some of them through a double."""
    kind = typed_as(column) if column is not None and column.transform is not None else ""
    if not kind.startswith("DECIMAL"):
        return f"to_json({value})::VARCHAR"
    whole, decimals = column.digits if column is not None else (0, 0)
    # Where the type has no digit before the point, DuckDB writes 0.5 without its zero.
    text = f"{value}::VARCHAR" if whole else f"replace({value}::VARCHAR, '.', '0.')"
    return f"rtrim(rtrim({text}, '0'), '.')" if decimals else text


def json_pairs(pairs: Sequence[tuple[str, str]], *more: str) -> str:
    """The inside of a JSON object, of (SQL of the key and its colon, JSON text of the value); nulls are left out.

    ``more`` are further pairs, each with its key or several with commas between them. Null, not empty, when nothing is
    left: what is joined to it would keep a comma.
    """
    items = [*(f"{key} || {value}" for key, value in pairs), *more]
    return f"nullif(concat_ws(',', {', '.join(items)}), '')" if items else "NULL::VARCHAR"


def plain_pairs(pairs: Sequence[tuple[str, str]]) -> str:
    """Pairs of (name, SQL of a text that is never null and stands in JSON as it is), with commas between them."""
    parts = [
        part
        for n, (name, value) in enumerate(pairs)
        for part in (literal(f'{"," if n else ""}{json_text(name)}:"'), value, "'\"'")
    ]
    return f"concat({', '.join(parts)})"


def json_text(text: str) -> str:
    """``text`` as JSON."""
    return json.dumps(text, ensure_ascii=False)
