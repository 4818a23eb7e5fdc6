"""What a contract says about loaded files of the same name: replace them, refuse the new one, or let both be."""

from __future__ import annotations

from sluice.base.crash_points import crash_point
from sluice.contracts.model import Contract
from sluice.ledger.takeover import why_undone
from sluice.loading.errors import FileRejectedError
from sluice.loading.landed_file import LandedFile
from sluice.loading.stream_writer import StreamWriter
from sluice.loading.unload import withdraw

Replaced = list[tuple[int, int]]


def make_way(writer: StreamWriter, file: LandedFile, contract: Contract) -> Replaced:
    """Take out what the file replaces, in its transaction: file_ids, and how many rows left with each.

    Raises FileRejectedError when the file may not load.
    """
    if contract.revision == "append":
        return []
    # Two revisions at once would each find no other.
    writer.session.run("load/withdraw.lock_name", contract.name, file.name)
    others = _same_name(writer, file, contract)
    if contract.revision == "replace":
        return _replace(writer, file, contract, others)
    if others:
        raise FileRejectedError(
            f"file {others[0]} of this name is loaded already, and contract {contract.name} rejects revisions: "
            f"unload file {others[0]} first, land this one under another name, or change revision in the contract",
            contract,
            cause="name",
        )
    return []


def _replace(writer: StreamWriter, file: LandedFile, contract: Contract, others: list[int]) -> Replaced:
    run = writer.session.run
    if why := why_undone(run, file.file_id, file.name, contract.name, file.sha256):
        raise FileRejectedError(why, contract, cause="undoes")
    if others:
        for file_id in others:
            run("load/withdraw.hold_file", file_id)
        # One of them may have left while it was waited for.
        others = _same_name(writer, file, contract)
    if newer := [file_id for file_id in others if file_id > file.file_id]:
        raise FileRejectedError(
            f"file {newer[-1]} of this name landed later and is loaded already, and contract {contract.name} lets "
            "the last one replace the others: nothing is left to do, or land this one again to make it the last",
            contract,
            cause="name",
        )
    replaced = [(file_id, _withdraw(writer, file, file_id)) for file_id in others]
    run("load/withdraw.replace_duplicates", file.file_id, file.name, contract.name)
    if others:
        crash_point("load.after_replace")
    return replaced


def _withdraw(writer: StreamWriter, file: LandedFile, old: int) -> int:
    left = withdraw(
        writer.session.run,
        old,
        "replace",
        home=writer.settings.home_dir,
        reason=f"replaced by file {file.file_id}, a revision",
        by_whom=writer.name,
        replaced_by=file.file_id,
    )
    return left.rows_taken_out


def _same_name(writer: StreamWriter, file: LandedFile, contract: Contract) -> list[int]:
    rows = writer.session.run("load/withdraw.find_same_name", file.name, contract.name, file.file_id)
    return [row[0] for row in rows]
