"""What a contract says of a file as a whole: rows that fail it, its error budget, its drift."""

from __future__ import annotations

from sluice.contracts.drift import Drift, says
from sluice.contracts.judge import Judgement
from sluice.contracts.model import Contract
from sluice.loading.errors import FileRejectedError
from sluice.reading.block import Block


def refuse_failed(block: Block, judged: Judgement, contract: Contract) -> None:
    """Raises FileRejectedError when a row of ``judged`` breaks a rule that fails the whole file."""
    if judged.failed:
        row, rules = judged.failed[0]
        raise FileRejectedError(
            f"record {block.record_numbers[row]} (line {block.line_numbers[row]}) breaks {', '.join(rules)}, which "
            f"contract {contract.name} says fails the whole file: correct it and land it again",
            contract,
        )


def within_budget(contract: Contract, rejected: int, read: int) -> None:
    """Raises FileRejectedError when ``rejected`` of ``read`` rows are more than the contract's error budget."""
    percent = 100 * rejected / read if read else 0.0
    over_rows = contract.budget_rows is not None and rejected > contract.budget_rows
    over_percent = contract.budget_percent is not None and percent > contract.budget_percent
    if over_rows or over_percent:
        budget = f"{contract.budget_rows} rows" if over_rows else f"{contract.budget_percent} %"
        raise FileRejectedError(
            f"{rejected} of {read} rows would be rejected ({percent:.2f} %), over the error budget of {budget} of "
            f"contract {contract.name}: correct the file, or raise errorBudget",
            contract,
        )


def refuse_drift(contract: Contract, drift: Drift) -> None:
    """Raises FileRejectedError when there is ``drift`` and the contract rejects it."""
    if drift and contract.drift == "reject":
        raise FileRejectedError(
            f"the file is not as contract {contract.name} and earlier files let expect, and the contract rejects "
            f"drift: {says(drift)}: correct the file, describe the columns in the contract, or let drift be warn",
            contract,
        )
