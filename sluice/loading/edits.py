"""Corrects the fields of rejects as somebody asked, and judges exactly these rejects again.

All edits are one transaction: either each of them is written, with a line of the audit a file, or none is. Only then
are they judged, a file a transaction as in every replay. A run that was killed in between and is tried again finds its
edits written, by the audit, and goes on.
"""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sluice.base.crash_points import crash_point
from sluice.base.settings import Settings
from sluice.loading.replay import ReplayTally, replay
from sluice.loading.writer_session import WriterSession

_log = logging.getLogger(__name__)

MOST = 100
# Of one edit's fields, as JSON in UTF-8.
BYTES_MAX = 65_536
Fields = dict[str, str | None]


class EditError(ValueError):
    """The edits cannot be made; the message names file, record, field and remedy. Nothing was written."""


@dataclass(frozen=True)
class Edit:
    """New values for fields of one reject; the others stay."""

    file_id: int
    record_number: int
    fields: Fields

    @property
    def place(self) -> str:
        """Which record, for people."""
        return f"file {self.file_id}, record {self.record_number}"


def edit_and_replay(
    settings: Settings, given: Sequence[Mapping[str, Any]], *, by_whom: str, run: str
) -> dict[str, Any]:
    """Write the edits ``given`` (file_id, record_number, fields) and judge their rejects again; the tally.

    ``run`` names the attempt's run: edits that it has written before are not written again. Raises EditError when one
    of them cannot be made; psycopg.Error when the database is away.
    """
    by_file = _by_file(_read(given))
    only = {file_id: [edit.record_number for edit in edits] for file_id, edits in by_file.items()}
    session = WriterSession(settings.writer_dsn, "sluice-edits")
    try:
        before = ReplayTally()
        if _were_written(session, only, run):
            before = _settled(session, only)
        else:
            for file_id, edits in by_file.items():
                _write(session, file_id, edits, by_whom=by_whom, run=run)
        crash_point("edits.before_commit")
        session.commit()
    finally:
        session.disconnect()
    crash_point("edits.after_commit")
    before.add(replay(settings, only=only))
    _log.info("edited %s rejects: %s", len(given), before)
    return {"edited": len(given), **before.as_dict()}


def _read(given: Sequence[Mapping[str, Any]]) -> list[Edit]:
    if len(given) > MOST:
        raise EditError(f"{len(given)} edits are more than {MOST}: give them in several runs")
    edits = [Edit(each["file_id"], each["record_number"], dict(each["fields"])) for each in given]
    seen: set[tuple[int, int]] = set()
    for edit in edits:
        if (edit.file_id, edit.record_number) in seen:
            raise EditError(f"{edit.place} is edited twice: put its fields into one edit")
        seen.add((edit.file_id, edit.record_number))
        _check_text(edit)
    return edits


def _check_text(edit: Edit) -> None:
    """Whether the ledger can hold what the edit says."""
    for name, value in edit.fields.items():
        try:
            is_held = "\0" not in name and "\0" not in (value or "") and (name + (value or "")).encode() is not None
        except UnicodeEncodeError:
            is_held = False
        if not is_held:
            raise EditError(
                f"{edit.place}, field {name!r}: PostgreSQL cannot hold a NUL or half a letter: leave it out"
            )
    size = len(json.dumps(edit.fields, ensure_ascii=False).encode())
    if size > BYTES_MAX:
        raise EditError(
            f"{edit.place}: its fields have {size:,} bytes, more than {BYTES_MAX:,}: correct the file and land it again"
        )


def _by_file(edits: Sequence[Edit]) -> dict[int, list[Edit]]:
    """In the order in which rows are locked."""
    by_file: dict[int, list[Edit]] = defaultdict(list)
    for edit in sorted(edits, key=lambda each: (each.file_id, each.record_number)):
        by_file[edit.file_id].append(edit)
    return by_file


def _were_written(session: WriterSession, only: Mapping[int, Sequence[int]], run: str) -> bool:
    return any(session.run("load/edits.were_written", file_id, run) for file_id in only)


def _settled(session: WriterSession, only: Mapping[int, Sequence[int]]) -> ReplayTally:
    """What an attempt before has brought to events already."""
    tally = ReplayTally()
    for file_id, records in only.items():
        [(loaded, duplicate)] = session.run("load/edits.settled", file_id, list(records))
        tally.add(ReplayTally(loaded + duplicate, loaded, duplicate))
    return tally


def _write(session: WriterSession, file_id: int, edits: Sequence[Edit], *, by_whom: str, run: str) -> None:
    files = session.run("load/edits.lock_file", file_id)
    if not files:
        raise EditError(f"there is no file {file_id}: the files are in ledger.files")
    [(name, state, header)] = files
    if state != "loaded":
        raise EditError(
            f"file {file_id} ({name}) is {state}: only rejects of a loaded file are edited; correct the file and land "
            "it again"
        )
    names = json.loads(header) if header else []
    there = {
        number: (reject_state, json.loads(fields, parse_int=str, parse_float=str) if fields else {})
        for number, reject_state, fields in session.run(
            "load/edits.lock_rejects", file_id, [edit.record_number for edit in edits]
        )
    }
    for edit in edits:
        if edit.record_number not in there:
            raise EditError(f"{edit.place}: no reject has this number: `make rejects FILE_ID={file_id}` shows them")
        _check_state(edit, there[edit.record_number][0])
        after = _edited(edit, names, there[edit.record_number][1])
        session.run("load/edits.write", file_id, edit.record_number, json.dumps(after, ensure_ascii=False))
    records = {str(edit.record_number): sorted(edit.fields) for edit in edits}
    session.run("load/edits.note", file_id, by_whom, json.dumps({"run": run, "records": records}))


def _check_state(edit: Edit, state: str) -> None:
    if state == "quarantined":
        return
    remedy = (
        "its file was taken back: correct the file and land it again"
        if state == "withdrawn"
        else "its row is in events: unload the file, correct it and land it again"
    )
    raise EditError(f"{edit.place} is {state}, only a quarantined reject is edited: {remedy}")


def _edited(edit: Edit, header: Sequence[str], there: Fields) -> Fields:
    """The reject's fields afterwards: exactly the header's, where the file has one."""
    names = list(header) or list(there)
    if not names:
        raise EditError(f"{edit.place} has no fields to edit: correct the file and land it again")
    for name in edit.fields:
        if name not in names:
            raise EditError(f"{edit.place}, field {name!r}: it has no such field: write one of {_listed(names)}")
    if set(names) == there.keys():
        return there | edit.fields
    if missing := [name for name in names if name not in edit.fields]:
        raise EditError(
            f"{edit.place}: it has not as many fields as the header, so each must be given: add {_listed(missing)}"
        )
    return {name: edit.fields[name] for name in names}


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:20])
    return shown if len(names) <= 20 else f"{shown} and {len(names) - 20} more"
