"""What a restore cannot bring back, because only the database that it replaced knows it, and copying rows over.

A file that was loaded after the backup lands again from the archive. One whose bytes are gone cannot: housekeeping had
sealed its tally and deleted it. Its rows can be copied from the replaced database, which stays until the next restore.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from sluice.base import queries
from sluice.base.crash_points import crash_point
from sluice.base.settings import Settings
from sluice.contracts.event_columns import PLACE, same_content
from sluice.loading import months, unload

Connection = psycopg.Connection[dict[str, Any]]
Row = dict[str, Any]

SHOWN = 20
_PAGE = 1000
_COPY_DUPLICATES = "left_behind.copy_duplicates"


class _Staging(NamedTuple):
    """The table that is copied, the query that makes the staging table, and the one that copies to it."""

    table: str
    make: str
    copy: str


_STAGINGS = {
    "copied_files": _Staging("ledger.files", "left_behind.make_copied_files", "left_behind.copy_files"),
    "copied_events": _Staging("public.events", "left_behind.make_copied_events", "left_behind.copy_events"),
    "copied_rejects": _Staging("ledger.rejects", "left_behind.make_copied_rejects", "left_behind.copy_rejects"),
    "copied_audit": _Staging("ledger.audit", "left_behind.make_copied_audit", "left_behind.copy_audit"),
}


@dataclass
class LeftBehind:
    """What only the replaced database knows: files by their rows there, and what people did after the backup."""

    files: list[Row] = field(default_factory=list)
    back_again: list[Row] = field(default_factory=list)
    edited: dict[str, int] = field(default_factory=dict)
    replayed: dict[str, int] = field(default_factory=dict)
    audit: list[Row] = field(default_factory=list)
    audit_entries: int = 0

    def lines(self) -> list[str]:
        """Sentences for people; none when everything came back."""
        said = [self._files_line()] if self.files else []
        if self.back_again:
            said.append(
                "NOT BROUGHT BACK: unloaded after the backup, so the restored ledger has or loads them again: "
                f"{_names(self.back_again)}; unload them again when that is done"
            )
        if self.edited:
            said.append(f"NOT BROUGHT BACK: edits of rejects made after the backup: {_counts(self.edited)}")
        if self.replayed:
            said.append(
                f"NOT BROUGHT BACK: replays made after the backup: {_counts(self.replayed)}; "
                "`make replay` does them again"
            )
        if self.audit_entries:
            said.append(f"NOT BROUGHT BACK: {self.audit_entries:,} entries of ledger.audit made after the backup:")
            said += [
                f"    {row['at']:%Y-%m-%d %H:%M:%S} {row['action']} of file {row['file_id']} by {row['by_whom']}: "
                f"{row['reason']}"
                for row in self.audit
            ]
        return said

    def _files_line(self) -> str:
        rows = sum(row["rows_read"] for row in self.files)
        first, last = (pick(self.files, key=lambda row: row["loaded_at"])["loaded_at"] for pick in (min, max))
        return (
            f"NOT BROUGHT BACK: {len(self.files):,} files with {rows:,} rows, loaded from {first:%Y-%m-%d %H:%M:%S} to "
            f"{last:%Y-%m-%d %H:%M:%S %Z}, whose bytes are gone since (housekeeping): {_names(self.files)}. "
            "Only the replaced database has their rows: `make copy-sealed` copies them over, until the next restore"
        )


@dataclass
class Copied:
    """What was copied over, in files and rows; ``not_whole`` were left out: their rows are not all there."""

    files: int = 0
    loaded: int = 0
    rejected: int = 0
    duplicates: int = 0
    replaced: list[int] = field(default_factory=list)
    not_whole: list[Row] = field(default_factory=list)

    def lines(self) -> list[str]:
        """Sentences for people."""
        said = [
            f"copied {self.files:,} files over: {self.loaded:,} rows loaded, {self.rejected:,} rejected, "
            f"{self.duplicates:,} duplicate; `make reconcile` recounts them"
        ]
        if self.replaced:
            said.append(f"they replace older revisions: files {', '.join(map(str, self.replaced))}")
        if self.not_whole:
            said.append(f"NOT copied, because the replaced database lacks rows of theirs: {_names(self.not_whole)}")
        return said


def look(settings: Settings, ledger: Connection, replaced: Connection) -> LeftBehind:
    """Compare both databases, and the landing folders; changes nothing."""
    left = LeftBehind(files=lost_files(settings, ledger, replaced))
    unloaded = {row["file_id"]: row for row in queries.all(replaced, "left_behind.unloaded")}
    active = queries.all(ledger, "left_behind.active", file_ids=list(unloaded))
    left.back_again = [row for row in active if unloaded[row["file_id"]]["sha256"] == row["sha256"]]
    _compare_rejects(ledger, replaced, left)
    # Those of lost files come with the files' rows, or not at all.
    besides = [row["file_id"] for row in left.files]
    entries, known = (
        queries.all(one, "left_behind.audit_count", besides=besides)[0]["entries"] for one in (replaced, ledger)
    )
    left.audit_entries = max(0, entries - known)
    left.audit = queries.all(replaced, "left_behind.newest_audit", besides=besides, most=min(left.audit_entries, SHOWN))
    return left


def lost_files(settings: Settings, ledger: Connection, replaced: Connection) -> list[Row]:
    """Files that are loaded there and neither here nor on any disk of ours, by file_id; with ``waiting``: the file_id
    under which the ledger waits for these bytes, or None."""
    incoming = _Incoming(settings)
    lost = []
    for page in _pages(replaced):
        present = {
            row["sha256"]: row
            for row in queries.all(ledger, "left_behind.present", sha256=[row["sha256"] for row in page])
        }
        for row in page:
            here = present.get(row["sha256"])
            if here is not None and (here["state"] == "loaded" or (settings.home_dir / here["path"]).exists()):
                continue
            if not (settings.home_dir / row["path"]).exists() and not incoming.has(row):
                lost.append({**row, "waiting": here and here["file_id"]})
    return lost


def copy(settings: Settings, ledger: Connection, replaced: Connection) -> Copied:
    """Copy the rows of all lost files over, under the rules of a load: an id that is there already makes the row a
    duplicate, or with other content a conflict in quarantine. One transaction, so a kill leaves nothing half.

    ``ledger`` is the owner's connection, autocommit, and nothing may load meanwhile; ``replaced`` a superuser's.
    """
    copied = Copied()
    with replaced.transaction(), ledger.transaction():
        replaced.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        queries.run(ledger, "left_behind.hold_still")
        lost = lost_files(settings, ledger, replaced)
        whole = _adding_up(replaced, lost)
        copied.not_whole = [row for row in lost if row["file_id"] not in whole]
        chosen = [row for row in lost if row["file_id"] in whole]
        if chosen:
            _copy(settings, ledger, replaced, chosen, copied)
        crash_point("restore.before_copied")
    return copied


def _copy(settings: Settings, ledger: Connection, replaced: Connection, chosen: list[Row], copied: Copied) -> None:
    columns = {name: _common(ledger, replaced, staging.table) for name, staging in _STAGINGS.items()}
    file_ids = [row["file_id"] for row in chosen]
    _stage(ledger, replaced, columns, chosen, _lost_duplicates(settings, ledger, replaced, chosen))
    copied.replaced = _replace_older(settings, ledger, replaced, chosen)
    _put(ledger, "left_behind.put_files", columns["copied_files"], state="loaded")
    _put(ledger, "left_behind.put_rejects", columns["copied_rejects"])
    _put_events(settings, ledger, columns["copied_events"])
    queries.run(ledger, "left_behind.forget_receipts")
    # What a file had as a duplicate comes second: its row's owner may be copied too.
    _take_rows(ledger, replaced, _COPY_DUPLICATES, "copied_events", columns["copied_events"], file_ids)
    _renumber(ledger, chosen, ["copied_events"])
    _put_events(settings, ledger, columns["copied_events"])
    ledger.execute(queries.compose("left_behind.note_duplicates", same_content=same_content("copied", "present")))
    _copy_expired_duplicates(ledger, replaced, chosen)
    queries.run(ledger, "left_behind.settle_rejects")
    queries.run(ledger, "left_behind.put_conflicts")
    queries.run(ledger, "left_behind.settle_files")
    _put(ledger, "left_behind.put_files", columns["copied_files"], state="duplicate")
    _put(ledger, "left_behind.put_audit", columns["copied_audit"])
    queries.run(ledger, "left_behind.widen")
    [tally] = queries.all(ledger, "left_behind.tally")
    copied.files, copied.loaded = tally["files"], tally["loaded"]
    copied.rejected, copied.duplicates = tally["rejected"], tally["duplicates"]
    queries.run(ledger, "left_behind.note_copies")


def _stage(
    ledger: Connection,
    replaced: Connection,
    columns: dict[str, list[str]],
    chosen: list[Row],
    duplicates: list[int],
) -> None:
    file_ids = [row["file_id"] for row in chosen]
    for name, staging in _STAGINGS.items():
        queries.run(ledger, staging.make)
        what = file_ids + duplicates if name == "copied_files" else file_ids
        _take_rows(ledger, replaced, staging.copy, name, columns[name], what)
    _renumber(ledger, chosen, list(_STAGINGS))
    queries.run(ledger, "left_behind.settle_files")


def _take_rows(
    ledger: Connection, replaced: Connection, query: str, staging: str, columns: list[str], file_ids: list[int]
) -> None:
    content = [name for name in columns if name not in PLACE]
    parts = {"columns": _list(columns), "content": _list(content)}
    if query == _COPY_DUPLICATES:  # an older database names a row by its id alone
        known = _columns(replaced, "ledger.duplicates")
        parts["row_id"] = _list([name for name in ("event_id", "event_time") if name in known])
    source = queries.compose(query, **parts)
    target = queries.compose("left_behind.take", table=sql.Identifier(staging), columns=_list(columns))
    with (
        replaced.cursor() as there,
        ledger.cursor() as here,
        there.copy(source, {"file_ids": file_ids}) as out,
        here.copy(target) as into,
    ):
        for block in out:
            into.write(block)


def _put_events(settings: Settings, ledger: Connection, columns: list[str]) -> None:
    days = [row["day"] for row in queries.all(ledger, "left_behind.days")]
    months.make(ledger, days, settings.events_partition, although_expired=True)
    _put(ledger, "left_behind.put_events", columns)


def _copy_expired_duplicates(ledger: Connection, replaced: Connection, chosen: list[Row]) -> None:
    """What repeats a row that has expired there is noted as it is: its content is nowhere."""
    columns = _common(ledger, replaced, "ledger.duplicates")
    if "event_time" not in columns:  # an older database dropped no months
        return
    queries.run(ledger, "left_behind.make_copied_duplicates")
    file_ids = [row["file_id"] for row in chosen]
    _take_rows(ledger, replaced, "left_behind.copy_expired_duplicates", "copied_duplicates", columns, file_ids)
    _renumber(ledger, chosen, ["copied_duplicates"])
    ledger.execute(queries.compose("left_behind.put_duplicates", columns=_list(columns)))


def _renumber(ledger: Connection, chosen: list[Row], stagings: list[str]) -> None:
    for row in chosen:
        if row["waiting"] not in (None, row["file_id"]):
            for staging in stagings:
                ledger.execute(queries.compose("left_behind.renumber", table=sql.Identifier(staging)), dict(row))


def _put(ledger: Connection, query: str, columns: list[str], **parameters: object) -> None:
    but_id = columns[1:]
    excluded = sql.SQL(", ").join(sql.SQL("EXCLUDED.") + sql.Identifier(name) for name in but_id)
    parts = {"columns": _list(columns), "columns_but_id": _list(but_id), "excluded": excluded}
    ledger.execute(queries.compose(query, **parts), parameters or None)


def _replace_older(settings: Settings, ledger: Connection, replaced: Connection, chosen: list[Row]) -> list[int]:
    """Take out what a copied revision had replaced there, and the restored ledger has loaded; the file_ids."""
    newer = {(row["name"], row["contract"]): row for row in chosen}
    there = queries.all(replaced, "left_behind.replaced_there", names=[name for name, _ in newer])
    older = {row["file_id"]: row for row in there if (row["name"], row["contract"]) in newer}
    cursor = psycopg.RawCursor(ledger, row_factory=tuple_row)

    def run(name: str, *parameters: Any) -> list[tuple[Any, ...]]:
        return queries.all(cursor, name, *parameters)

    gone = []
    for row in queries.all(ledger, "left_behind.loaded_here", file_ids=list(older)):
        was = older[row["file_id"]]
        if was["sha256"] == row["sha256"]:
            by = newer[was["name"], was["contract"]]["file_id"]
            reason = f"replaced by file {by}, copied from the database that a restore replaced"
            unload.withdraw(
                run,
                row["file_id"],
                "replace",
                home=settings.home_dir,
                reason=reason,
                by_whom="copy-sealed",
                replaced_by=by,
            )
            gone.append(row["file_id"])
    return gone


def _lost_duplicates(settings: Settings, ledger: Connection, replaced: Connection, chosen: list[Row]) -> list[int]:
    """Whole files that repeated a lost one, and are neither in the ledger nor in the archive."""
    there = queries.all(replaced, "left_behind.duplicates_there", sha256=[row["sha256"] for row in chosen])
    known = {
        row["file_id"]
        for row in queries.all(ledger, "left_behind.known_ids", file_ids=[row["file_id"] for row in there])
    }
    gone = [row["file_id"] for row in there if not (settings.home_dir / row["path"]).exists()]
    return [file_id for file_id in gone if file_id not in known]


def _adding_up(replaced: Connection, lost: list[Row]) -> set[int]:
    return {
        row["file_id"]
        for row in queries.all(replaced, "left_behind.adding_up", file_ids=[row["file_id"] for row in lost])
    }


def _compare_rejects(ledger: Connection, replaced: Connection, left: LeftBehind) -> None:
    there = queries.all(replaced, "left_behind.handled_rejects")
    here = {row["file_id"]: row for row in queries.all(ledger, "left_behind.handled_rejects")}
    stayed = {
        row["file_id"]
        for row in queries.all(ledger, "left_behind.known_ids", file_ids=[row["file_id"] for row in there])
    }
    lost = {row["file_id"] for row in left.files}
    none = {"edited": 0, "edited_at": None, "replayed": 0}
    for row in there:
        known = here.get(row["file_id"], none)
        name = f"{row['name']} (file {row['file_id']})"
        if row["file_id"] in lost:  # they come with the file's rows, or not at all
            continue
        if row["edited"] and row["edited_at"] != known["edited_at"]:
            left.edited[name] = max(1, row["edited"] - known["edited"])
        # A file that lands again is judged anew as a whole.
        if row["file_id"] in stayed and row["replayed"] > known["replayed"]:
            left.replayed[name] = row["replayed"] - known["replayed"]


class _Incoming:
    """Whether bytes wait in incoming, where the ledger does not know them yet: only files of the same size are read."""

    def __init__(self, settings: Settings) -> None:
        self._sizes: dict[int, list[Path]] = {}
        for path in settings.incoming_dir.glob("*") if settings.incoming_dir.is_dir() else ():
            if path.is_file() and not path.is_symlink():
                self._sizes.setdefault(path.stat().st_size, []).append(path)
        self._digests: dict[Path, str] = {}

    def has(self, row: Row) -> bool:
        """Whether a file of the same bytes lies in incoming."""
        return any(self._digest(path) == row["sha256"] for path in self._sizes.get(row["bytes"], ()))

    def _digest(self, path: Path) -> str:
        if path not in self._digests:
            with path.open("rb") as file:
                self._digests[path] = hashlib.file_digest(file, "sha256").hexdigest()
        return self._digests[path]


def _pages(replaced: Connection) -> Iterator[list[Row]]:
    after = 0
    while page := queries.all(replaced, "left_behind.loaded", after=after, most=_PAGE):
        yield page
        after = page[-1]["file_id"]


def _common(ledger: Connection, replaced: Connection, table: str) -> list[str]:
    """The columns that both have: an older database may lack some."""
    here, there = (_columns(one, table) for one in (ledger, replaced))
    return [name for name in here if name in there]


def _columns(database: Connection, table: str) -> list[str]:
    return [row["name"] for row in queries.all(database, "left_behind.columns", table=table)]


def _names(rows: list[Row]) -> str:
    shown = ", ".join(f"{row['name']} (file {row['file_id']})" for row in rows[:SHOWN])
    return shown + (f" and {len(rows) - SHOWN:,} more" if len(rows) > SHOWN else "")


def _counts(by_file: dict[str, int]) -> str:
    shown = ", ".join(f"{count:,} of {name}" for name, count in list(by_file.items())[:SHOWN])
    return shown + (f" and of {len(by_file) - SHOWN:,} files more" if len(by_file) > SHOWN else "")


def _list(names: list[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))
