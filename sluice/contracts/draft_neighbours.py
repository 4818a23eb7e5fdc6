"""What a draft has to do with the contracts that are there already: its name, files that more than one takes, sales
that more than one brings."""

from __future__ import annotations

import io
import itertools
from dataclasses import replace
from pathlib import Path

from sluice.contracts.draft_columns import Draft
from sluice.contracts.findings import Harm
from sluice.contracts.folder import Contracts
from sluice.contracts.matching import match
from sluice.contracts.model import Contract, HeaderError
from sluice.contracts.profile import Profile
from sluice.contracts.sales import AMOUNTS, SALES, counting, names
from sluice.reading.csv_records import RecordReader
from sluice.reading.landed_bytes import LandedBytes


def take_a_free_name(drafted: Draft, contracts: Contracts, *, is_asked_for: bool) -> None:
    """Give the draft a name that no contract has; one that a person asked for stays, and is said to be taken."""
    taken = {contract.name for contract in contracts.candidates}
    taken |= {broken.file.removesuffix(".odcs.yaml") for broken in contracts.broken}
    name = drafted.name
    if name not in taken:
        return
    if is_asked_for:
        text = f"a contract is named {name!r} already, and of two neither can be used: draft again under another name"
        drafted.found(text, Harm.LOST_ROWS)
        return
    drafted.name = next(free for n in itertools.count(2) if (free := f"{name}_{n}") not in taken)
    drafted.found(f"a contract is named {name!r} already, so this one is {drafted.name!r}", Harm.NOTE)


def say_who_else_takes_it(path: Path, contract: Contract, contracts: Contracts, drafted: Draft) -> None:
    """Whether the file goes to another contract already, and where it goes when ``contract`` is there too."""
    with LandedBytes(path, path.name) as landed:
        head, marked = landed.head(), landed.marked_encoding
    others = [other for other in contracts.candidates if other.takes(path.name)]
    headers = [(other, _names(other, head, marked)) for other in others]
    there = _taker([*headers]) if headers else None
    if there is None:
        return
    text = f"files with this header go to contract {there.name} already: change that one instead; "
    winner = _taker([*headers, (contract, _names(contract, head, marked))])
    if winner is None:
        drafted.found(f"{text}with this one beside it, both fit, and such files are rejected", Harm.LOST_ROWS)
    elif winner is contract:
        drafted.found(f"{text}with this one beside it, they come here", Harm.WRONG_VALUES)
    else:
        drafted.found(f"{text}with this one beside it, they still go there", Harm.LATER_FILES)


def say_whether_sales_count(
    sample: Profile, targets: dict[str, str], contracts: Contracts | None, drafted: Draft
) -> None:
    """Whether reports count purchases of the sample as sales; ``targets`` are columns of events by column's name."""
    others = counting(contracts.usable) if contracts else []
    has_amount = not AMOUNTS.isdisjoint(targets.values())
    text = f"purchases and cancellations count as sales{'' if has_amount else ' of 0'} in reports"
    otherwise = "{property: sales, value: false} under the contract's customProperties"
    for column in sample.columns:
        if targets.get(column.name) != "event_type" or SALES.isdisjoint(column.values):
            continue
        if others:
            text += f", and so do those of {names(others)}: the same ones would count twice"
            drafted.asked(text, (column.name, "physicalName"), otherwise, where=column.name)
        else:
            harm = Harm.NOTE if has_amount else Harm.WRONG_VALUES
            drafted.found(text, harm, where=column.name, otherwise=otherwise)


def _taker(headers: list[tuple[Contract, list[str] | None]]) -> Contract | None:
    try:
        return match(headers).contract
    except HeaderError:
        return None


def _names(contract: Contract, head: bytes, marked: str | None) -> list[str] | None:
    """The names of the file's columns as the contract has them; None when it cannot read its header."""
    dialect = replace(contract.dialect, encoding=marked) if marked else contract.dialect
    header = RecordReader(io.BytesIO(head), dialect, contract.layout, chunk_bytes=len(head) + 1).header()
    return contract.own_header if header is not None and not contract.layout.names_columns else header
