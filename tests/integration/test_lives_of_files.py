"""Any order of what may befall files: landed, loaded, replaced, taken back, sealed, lost, killed in between.

After each step every file's end must have a cause, every record of every loaded file must be in one place as the file
has it, and each day of which events changed must be noted for the reports. What a file should become is worked out from
what was done to it, without the pipeline's code.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import pytest

from sluice.base import database
from sluice.base.settings import Settings
from sluice.landing import folders, mover, tidy
from sluice.ledger import archive, contract_waits, insist, leases, receipts
from sluice.loading import merge
from sluice.loading.contract_watch import ContractWatch
from sluice.loading.load_file import FileLoader
from sluice.loading.replay import replay
from sluice.loading.unload import unload_file
from sluice.proof import sealing
from sluice.proof.reconcile import reconcile
from spark_jobs.keeper import Keeper
from tests.changed_days import ChangedDays
from tests.integration.test_folders import unmounted
from tests.loading import Connection, change_contract, event, recount, table, write_contract

# Another one each run; the workers of one run must agree on it.
NEW_SEED = random.Random(os.environ.get("PYTEST_XDIST_TESTRUNUID")).randrange(10**6, 10**9)

STEPS = 60
LATER = datetime(2100, 1, 1, tzinfo=UTC)
NOT_KNOWN = "teleport"


def on_its_day(number: int, **more: str) -> str:
    """``event`` on the day of its number."""
    return event(number, **more).replace("2026-11-22", f"2026-11-{number:02}")


LINES = {
    "plain": [on_its_day(1), on_its_day(2), on_its_day(3, kind=NOT_KNOWN), on_its_day(2)],
    "overlap": [on_its_day(2), on_its_day(4)],
    "conflict": [on_its_day(2, price="7.5"), on_its_day(5), on_its_day(1)],
    "part": [on_its_day(1), on_its_day(3, kind=NOT_KNOWN)],
}
CONTENTS = {name: table(*lines).encode() for name, lines in LINES.items()}
LINES["packed"] = LINES["overlap"]
CONTENTS["packed"] = gzip.compress(CONTENTS["overlap"], mtime=0)
CONTENTS["foreign"] = b"a table of no known feed\n1\n"
NAMES = ["a.csv", "b.csv", "c.csv", "d.csv.gz"]
CONTENT_OF = {hashlib.sha256(data).hexdigest(): name for name, data in CONTENTS.items()}

# Where a process dies while it does what stands before.
POINTS = {
    "land": [
        "mover.before_register",
        "mover.after_register",
        "mover.after_one_rename",
        "mover.after_rename",
        "mover.after_commit",
    ],
    "load": ["load.after_replace", "load.before_commit", "load.after_commit", "load.before_reject"],
    "load_all": ["archive.before_move", "archive.after_move", "takeover.after_land"],
    "unload": ["takeover.after_land", "takeover.after_hand_over", "unload.after_withdraw", "unload.after_commit"],
    "replay": ["replay.after_insert", "replay.after_commit"],
}
MODULES = (
    "sluice.landing.mover",
    "sluice.ledger.takeover",
    "sluice.loading.unload",
    "sluice.loading.one_load",
    "sluice.loading.revisions",
    "sluice.loading.afterwards",
    "sluice.loading.replay",
)


class Killed(BaseException):
    """The process ends here: nothing that comes after is done, the server rolls back. Tests of single points kill."""


@contextmanager
def dying_at(point: str) -> Iterator[None]:
    """Whatever happens in here ends at this crash point, if it comes there."""

    def die(name: str) -> None:
        if name == point:
            raise Killed

    with pytest.MonkeyPatch.context() as patch, suppress(Killed):
        for module in MODULES:
            patch.setattr(f"{module}.crash_point", die)
        yield


class Lives:
    """Files live; what was done to them on purpose is remembered in ``lost`` and ``changed`` (file_ids).

    ``steps`` says what was done, for whoever has to find out why it failed.
    """

    def __init__(
        self, used: Settings, connection: Connection, loader: FileLoader, watch: ContractWatch, chance: random.Random
    ) -> None:
        self.settings = used
        self.connection = connection
        self.loader = loader
        self.watch = watch
        self.chance = chance
        self.steps: list[str] = []
        self.death = ""
        self.mount: Any = None
        self.broken = self.knows = False
        self.revision = chance.choice(["append", "reject", "replace", "replace"])
        self.lost: set[int] = set()
        self.changed: set[int] = set()
        self.days = ChangedDays(connection)
        self.write_contract()

    def step(self) -> None:
        """One thing that may happen now, the usual ones more often."""
        may = {
            self.land: 10,
            self.load: 8,
            self.load_all: 4,
            self.unload: 5,
            self.seal: 3,
            self.die: 5,
            self.replay: 2,
            self.insist: 2,
            self.make_receipt: 2,
            self.wish: 1,
            self.change_what_is_known: 1,
            self.break_or_mend: 5 if self.broken else 1,
            self.take_or_change_bytes: 1 if self.mount is None else 0,
            self.mount_or_unmount: 1 if self.mount is None else 8,
            self.move: 1,
        }
        [what] = self.chance.choices(list(may), list(may.values()))
        said = what()
        self.steps.append(f"{what.__name__} {said}")

    def end(self) -> None:
        """What was begun is finished: then nothing is left to say."""
        self.broken = False
        if self.mount is not None:
            self.mount_or_unmount()
        self.write_contract()
        for _ in range(2):  # what was changed comes back, and is loaded or refused as another file
            self.move()
            self.load_all()
        self.move()
        assert self.waiting() == []
        assert tidy.strays(self.settings, self.connection, older_than_seconds=0) == []
        assert archive.apart_from_ledger(self.settings, self.connection, older_than_seconds=0) == []
        while receipts.make_next(self.connection):
            pass
        self.every_promise_holds()
        broken = reconcile(self.settings, self.settings.reader_dsn).broken
        # Of a file that was given the rows, because all bytes were taken, nothing can be read.
        assert [sentence for sentence in broken if int(sentence.split()[1]) not in self.lost] == []
        for file in self.files():
            if file["state"] == "loaded":
                unload_file(self.settings, file["file_id"], "the end", by_whom="test", with_duplicates=True)
        assert self.connection.execute("SELECT FROM events").rowcount == 0
        assert {file["state"] for file in self.files()} <= {"unloaded", "replaced", "rejected"}

    # --- what people and processes do; each returns what it was done to

    def do(self, operation: Callable[[], Any]) -> None:
        """As one process does it, which may die; without folders it is refused."""
        try:
            with dying_at(self.death):
                operation()
        except folders.FoldersError:
            assert self.mount is not None

    def land(self) -> str:
        content = self.chance.choices(list(CONTENTS), [3, 3, 3, 3, 1, 1])[0]
        name = self.chance.choices(NAMES, [4, 4, 2, 1])[0]
        path = self.settings.incoming_dir / name
        if path.exists():  # one that was sent back, or could not be moved
            path = self.settings.incoming_dir / f"again-{name}"
        path.write_bytes(CONTENTS[content])
        os.utime(path, (time.time() - 60, time.time() - 60))
        self.move()
        return f"{content} as {name}"

    def move(self) -> None:
        def as_the_mover_does() -> None:
            with database.connect(self.settings.writer_dsn) as writer:
                assert mover.move_landed(self.settings, writer).failed == {}

        self.do(as_the_mover_does)

    def waiting(self) -> list[int]:
        """As the source does it: nothing is dealt out while a folder is not there."""
        if self.mount is None:
            contract_waits.release(self.settings, self.connection)
        rows = self.connection.execute(
            "SELECT file_id FROM ledger.files WHERE state = 'landed' AND waits_for IS NULL ORDER BY file_id"
        )
        return [row["file_id"] for row in rows]

    def load(self) -> int | None:
        if not (waiting := self.waiting()):
            return None
        file_id = self.chance.choice(waiting)
        self.do(lambda: self.loader.load(file_id))
        return file_id

    def load_all(self) -> None:
        def as_the_stream_does() -> None:
            while waiting := self.waiting():
                for file_id in waiting:
                    self.loader.load(file_id)

        self.do(as_the_stream_does)

    def unload(self) -> str:
        loaded = [file["file_id"] for file in self.files() if file["state"] == "loaded"]
        if not loaded:
            return ""
        file_id, all_of_them = self.chance.choice(loaded), self.chance.random() < 0.2
        self.do(lambda: unload_file(self.settings, file_id, "wrong", by_whom="test", with_duplicates=all_of_them))
        return f"{file_id} {all_of_them}"

    def replay(self) -> None:
        self.do(lambda: replay(self.settings))

    def change_what_is_known(self) -> bool:
        self.knows = not self.knows
        self.write_contract()
        return self.knows

    def break_or_mend(self) -> bool:
        self.broken = not self.broken
        self.write_contract()
        return self.broken

    def write_contract(self) -> None:
        document = change_contract(self.settings, revision=self.revision)
        if self.knows:
            document["schema"][0]["properties"][1]["enum"].append({"value": NOT_KNOWN})
            write_contract(self.settings, document)
        self.watch.look()
        if self.broken:
            (self.settings.contracts_dir / "events.odcs.yaml").write_text("name: [\n")

    def insist(self) -> int | None:
        aside = [file["file_id"] for file in self.files() if file["rejected_for"] == "undoes"]
        if not aside:
            return None
        with suppress(insist.InsistError):  # its bytes are gone, or another file has them
            insist.land_again(self.connection, self.settings.home_dir, aside[0], "it is right", "test")
        return aside[0]

    def wish(self) -> str:
        content, name = self.chance.choice(list(LINES)), self.chance.choice(NAMES)
        sha256 = hashlib.sha256(CONTENTS[content]).hexdigest()
        insist.note_wish(self.connection, name, sha256, "it is right", "test")
        return f"{content} as {name}"

    def make_receipt(self) -> None:
        receipts.make_next(self.connection, also_when_files_wait=True)

    def seal(self) -> None:
        def keep_house() -> None:
            merge.merge(self.settings)
            # What was changed or never put away is kept.
            with database.connect(self.settings.writer_dsn) as writer, suppress(sealing.UnverifiedError):
                sealing.seal_archive(self.settings, writer, now=LATER)

        self.do(keep_house)

    def take_or_change_bytes(self) -> str:
        there = {
            file["file_id"]: self.settings.home_dir / file["path"]
            for file in self.files()
            if file["state"] in ("landed", "duplicate", "rejected")
            and not file["path"].startswith("incoming/")
            and (self.settings.home_dir / file["path"]).exists()
        }
        if not there:
            return ""
        file_id = self.chance.choice(list(there))
        if self.chance.random() < 0.5:
            self.changed.add(file_id)
            there[file_id].write_bytes(there[file_id].read_bytes() + b"more\n")
            return f"changed {file_id}"
        self.lost.add(file_id)
        there[file_id].unlink()
        return f"taken {file_id}"

    def mount_or_unmount(self) -> str:
        if self.mount is not None:
            mount, self.mount = self.mount, None
            mount.__exit__(None, None, None)
            return "mounted"
        folder = self.chance.choice([self.settings.processing_dir, self.settings.archive_dir])
        self.mount = unmounted(folder)
        self.mount.__enter__()
        return folder.name

    def die(self) -> str:
        what = self.chance.choice(list(POINTS))
        self.death = self.chance.choice(POINTS[what])
        said, self.death = f"at {self.death}: {what} {getattr(self, what)()}", ""
        return said

    # --- what must hold after each

    def files(self) -> list[dict[str, Any]]:
        return self.connection.execute("SELECT * FROM ledger.files ORDER BY file_id").fetchall()

    def every_promise_holds(self) -> None:
        """All that follows."""
        self.every_end_has_a_cause()
        self.every_record_of_a_loaded_file_is_in_one_place_as_the_file_has_it()
        self.receipts_verify()
        self.days.look(whoever=True)
        self.every_file_is_where_the_ledger_says()

    def every_end_has_a_cause(self) -> None:
        files = self.files()
        living = {file["sha256"]: file["file_id"] for file in files if file["state"] in ("landed", "loaded")}
        replaced = {
            row["file_id"]
            for row in self.connection.execute("SELECT file_id FROM ledger.audit WHERE action = 'replace'")
        }
        for file in files:
            cause = f"file {file['file_id']} is {file['state']} ({file['rejected_for']}): {file['error']}"
            content = CONTENT_OF.get(file["sha256"])
            match file["state"], file["rejected_for"]:
                case "duplicate", _:
                    assert file["duplicate_of"] == living.get(file["sha256"]), cause
                case "replaced", _:
                    assert self.revision == "replace", cause
                case "rejected", "name":
                    assert self.revision != "append", cause
                case "rejected", "undoes":
                    assert self.revision == "replace", cause
                case "rejected", "gone":
                    assert file["file_id"] in self.lost, cause
                case "rejected", "changed":
                    assert file["file_id"] in self.changed, cause
                case "rejected", _:
                    unreadable = content in (None, "foreign") or (content == "packed") != file["name"].endswith(".gz")
                    assert unreadable, cause
        assert replaced <= {file["file_id"] for file in files if file["state"] == "replaced"}

    def every_record_of_a_loaded_file_is_in_one_place_as_the_file_has_it(self) -> None:
        recount(self.connection)
        events = {row["event_id"]: row for row in self.connection.execute("SELECT * FROM events")}
        placed = {(row["file_id"], row["record_number"]): row for row in events.values()}
        repeats = {
            (row["file_id"], row["record_number"]): row
            for row in self.connection.execute("SELECT * FROM ledger.duplicates")
        }
        rejected = {
            (row["file_id"], row["record_number"]): row
            for row in self.connection.execute("SELECT * FROM ledger.rejects WHERE state = 'quarantined'")
        }
        for file in self.files():
            content = CONTENT_OF.get(file["sha256"], "")
            lines = LINES.get(content, []) if file["state"] == "loaded" else []
            for number, line in enumerate(lines, 1):
                key = (file["file_id"], number)
                found = [held for held in (placed, repeats, rejected) if key in held]
                assert len(found) == 1, f"record {key} of {content} is in {len(found)} places"
                if found[0] is rejected:
                    assert bytes(rejected[key]["raw"]) == line.encode()
                else:
                    row = placed.get(key) or events[repeats[key]["event_id"]]
                    parts = line.split(",")
                    assert (str(row["event_id"]), row["event_type"]) == (parts[0], parts[1])
                    assert float(row["price"]) == float(parts[5])

    def receipts_verify(self) -> None:
        rows = self.connection.execute(
            "SELECT file_id, ledger.verify(file_id) -> 'problems' AS wrong FROM ledger.files"
        )
        assert [row for row in rows if row["wrong"]] == []

    def every_file_is_where_the_ledger_says(self) -> None:
        if self.mount is not None:
            return
        for file in self.files():
            if file["file_id"] in self.lost or file["sealed_at"] is not None or file["rejected_for"] == "gone":
                continue
            if file["path"].startswith("incoming/"):  # another file by now
                continue
            path = self.settings.home_dir / file["path"]
            left = self.settings.processing_dir / path.name
            assert path.exists() or left.exists(), f"file {file['file_id']} ({file['state']}) is not at {file['path']}"


@pytest.fixture
def loader(own_contracts: Settings, epoch: int) -> Iterator[FileLoader]:
    made = FileLoader(own_contracts, epoch)
    yield made
    made.close()


@pytest.fixture
def watch(own_contracts: Settings, epoch: int) -> Iterator[ContractWatch]:
    keeper = Keeper(own_contracts.writer_dsn, epoch, lease_seconds=600, life_seconds=600, submitter=None)
    yield ContractWatch(own_contracts, keeper)
    keeper.close(leases.EndedHow.ASKED)


@pytest.mark.parametrize("seed", [0, 1, 3, 4, 22, 39, NEW_SEED])
def test_whatever_befalls_files_every_row_is_where_it_should_be(
    own_contracts: Settings, connection: Connection, loader: FileLoader, watch: ContractWatch, seed: int
) -> None:
    lives = Lives(own_contracts, connection, loader, watch, random.Random(seed))
    try:
        for _ in range(STEPS):
            lives.step()
            lives.every_promise_holds()
        lives.end()
    except BaseException as error:
        error.add_note("\n".join([f"revision: {lives.revision}", *lives.steps]))
        raise
    finally:
        if lives.mount is not None:
            lives.mount_or_unmount()
