"""A file has ended: what becomes of the duplicates of its bytes. One of them takes its place, or they end as it did.

Which of the two is decided in include/sql/load/takeover.sql; docs/decisions/0010-duplicates-take-over.md says why. It
is all part of the transaction that ends the original, after the original's own row is closed.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sluice.base.crash_points import crash_point
from sluice.base.plain_text import escaped
from sluice.ledger import archive

_log = logging.getLogger(__name__)

Run = Callable[..., list[tuple[Any, ...]]]
Duplicate = tuple[int, str, str, bool]


@dataclass
class Takeover:
    """What became of a file's duplicates. ``heir`` takes its place: its bytes are loaded again, or it has the rows now.

    ``followed`` are the duplicates that ended as their original did, ``set_aside`` those that would have undone a newer
    revision; file_ids.
    """

    heir: int | None = None
    heir_name: str = ""
    handed_over: bool = False
    rows_handed_over: int = 0
    followed: list[int] = field(default_factory=list)
    set_aside: list[int] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def take_over(
    run: Run, original: int, *, home: Path, by_whom: str, has_rows: bool, with_duplicates: bool = False
) -> Takeover:
    """Let the oldest duplicate of the file ``original``, which has just ended, take its place.

    ``run(name, *parameters)`` runs a query of include/sql/load in the caller's transaction, which holds the original's
    row FOR UPDATE. ``home`` is the folder that the ledger's paths start from. With ``has_rows`` the original was loaded
    and its rows stand in ``withdrawn_events``: when no duplicate has bytes any more, the oldest gets these rows.
    """
    duplicates: list[Duplicate] = run("load/takeover.lock_duplicates", original)
    if not duplicates:
        return Takeover()
    taken = Takeover(followed=sorted(row[0] for row in run("load/takeover.follow", original, with_duplicates)))
    left = [row for row in duplicates if row[0] not in taken.followed]
    with_bytes = [row for row in left if not row[3] and archive.where(home, row[2]).is_file()]
    if has_rows:
        _hand_over(run, original, [row for row in left if row[3] or not with_bytes], taken)
    left = [row for row in left if row[0] not in taken.set_aside]
    if left and taken.heir is None:
        _land(run, (with_bytes or left)[0], taken)
    if taken.heir is not None:
        run("load/takeover.follow_heir", taken.heir)
        _note(run, original, taken, by_whom)
    return taken


def why_undone(run: Run, file_id: int, name: str, contract: str, sha256: str) -> str:
    """Why a file may not load: it has the bytes of a revision that a newer one has replaced. Empty when it may."""
    rows = run("load/takeover.find_undone", name, contract, sha256, file_id)
    if not rows:
        return ""
    replaced, newer = rows[0]
    return (
        f"these are the bytes of file {replaced}, which was replaced, and file {newer} of this name is newer: loading "
        f'them would undo it. If that is what you want, say why, make insist FILE_ID={file_id} REASON="…", or unload '
        f"file {newer} and land this one again"
    )


def _land(run: Run, heir: Duplicate, taken: Takeover) -> None:
    taken.heir, taken.heir_name = heir[0], heir[1]
    run("load/takeover.land_heir", heir[0])
    crash_point("takeover.after_land")


def _hand_over(run: Run, original: int, left: list[Duplicate], taken: Takeover) -> None:
    """The loader will not judge this heir, so the rule about old revisions is kept here."""
    [(_, contract, sha256, _, _)] = run("load/takeover.describe", original)
    for file_id, name, _, _ in left:
        if why := why_undone(run, file_id, name, contract, sha256):
            run("load/takeover.set_aside", file_id, contract, why)
            taken.set_aside.append(file_id)
            continue
        taken.heir, taken.heir_name, taken.handed_over = file_id, name, True
        [(taken.rows_handed_over,)] = run("load/takeover.hand_over_rows", original, file_id)
        run("load/takeover.hand_over_tally", original, file_id)
        crash_point("takeover.after_hand_over")
        return


def _note(run: Run, original: int, taken: Takeover, by_whom: str) -> None:
    [(name, _, _, state, _)] = run("load/takeover.describe", original)
    reason = f"file {original} ({name}), which had the same bytes, is {state}"
    details = {"original": original, "handed_over": taken.handed_over, "rows_handed_over": taken.rows_handed_over}
    run("load/withdraw.note", "takeover", taken.heir, reason, by_whom, json.dumps(details))
    how = f"has its {taken.rows_handed_over} rows" if taken.handed_over else "is loaded in its place"
    _log.info("file %s (%s): %s, it %s", taken.heir, escaped(taken.heir_name), escaped(reason), how)
