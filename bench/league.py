"""The league: Sluice and others load the same files into the same kind of table of one server, in turns.

    python -m bench.league [--rows 500000] [--files 8] [--rounds 5] [--members sluice copy ...] [--write]

The tables are emptied and a checkpoint is made before each load. What a member needs to get ready (a JVM, imports, a
session) is not measured; Sluice's files are registered before, as the mover does it. After each load the rows are
counted and summed up, and compared with those of ``\\copy``.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

from bench import report
from bench.peers.members import MEMBERS, member
from bench.play import HungError, MissingError, Play, PlayError, play
from bench.server import Bench, bench, make_files

YARDSTICK = "copy"


def main() -> None:
    """Play the rounds; print the table, keep it with --write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--files", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--members", nargs="*", default=list(MEMBERS), choices=list(MEMBERS))
    parser.add_argument("--write", action="store_true")
    parsed = parser.parse_args()
    with bench() as here:
        measured = run(here, parsed.members, parsed.rows, parsed.files, parsed.rounds)
    report.publish(measured, keep=parsed.write)


def run(here: Bench, names: list[str], rows: int, files: int, rounds: int) -> dict[str, Any]:
    """The result of ``rounds`` rounds of the members ``names``."""
    here.make_table("league")
    paths = make_files(here.folder, rows, files)
    known, _ = play(here, YARDSTICK, paths)  # warms the server, and says what the rows are
    table = {name: Record(name) for name in names}
    for number in range(rounds):
        place = number % len(names)
        for name in names[place:] + names[:place]:
            table[name].play(here, paths, number)
    own = table.get("sluice")
    return report.result(
        "league",
        rows=rows,
        files=files,
        bytes=sum(path.stat().st_size for path in paths),
        rounds=rounds,
        server=here.told(),
        members=[one.told(rows, known, own.plays if own else {}) for one in table.values()],
    )


class Record:
    """What a member did, round by round. One that failed once takes no more part; one that hung tries again."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.peer = member(name)
        self.version = self.missing = self.error = ""
        self.plays: dict[int, Play] = {}  # by round
        self.hung = 0

    def play(self, here: Bench, paths: list[Path], number: int) -> None:
        """Round ``number``."""
        if self.missing or self.error:
            return
        try:
            one, self.version = play(here, self.name, paths)
        except MissingError as error:
            self.missing = str(error)
        except HungError as error:
            self.hung += 1
            print(f"{self.name}: {error}"[:200], flush=True)
        except PlayError as error:
            self.error = str(error)
            print(f"{self.name}: {error}", flush=True)
        else:
            self.plays[number] = one
            print(
                f"{self.name:20} {one.rows / one.seconds:>9,.0f} rows/s   CPU, µs/row: client "
                f"{one.client_cpu / one.rows * 1e6:6.2f}, server {one.server_cpu / one.rows * 1e6:5.2f}",
                flush=True,
            )

    def told(self, rows: int, known: Play, own: dict[int, Play]) -> dict[str, Any]:
        """Its line of the result: medians, and the ratios of the pairs of each round."""
        about: dict[str, Any] = {
            "key": self.name,
            "name": self.peer.name,
            "version": self.version,
            "settings": self.peer.settings,
        }
        error = self.error or ("" if self.plays or self.missing else "hung each time")
        about |= {"missing": self.missing, "error": error, "hung": self.hung}
        if self.missing or error:
            return about
        plays = list(self.plays.values())
        pairs = [theirs.seconds / own[number].seconds for number, theirs in self.plays.items() if number in own]
        return about | {
            "rows_per_second": rows / statistics.median(one.seconds for one in plays),
            "client_us": statistics.median(one.client_cpu for one in plays) / rows * 1e6,
            "server_us": statistics.median(one.server_cpu for one in plays) / rows * 1e6,
            "sluice_against_it": statistics.median(pairs) if pairs else None,
            "pairs": pairs,
            "rows_off": min(plays, key=lambda one: one.rows == known.rows).rows - known.rows,
            "same": all(one.checksum == known.checksum for one in plays),
            "plays": [one.as_dict() for one in plays],
        }


if __name__ == "__main__":
    main()
