"""Files of several kinds: Sluice's tasks against ``\\copy`` of the same clean rows as plain CSV, over one connection.

    python -m bench.kinds [--rows 400000] [--files 4] [--rounds 5] [--kinds events numbers ...] [--write]

``\\copy`` gets what it can read: plain UTF-8 without the rows that break a rule, into a table that has a typed column
for each of the file's, with the key and indexes of ``events``.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
from pathlib import Path
from typing import Any

from bench import report
from bench.kind_files import KINDS, Kind, numbers_document
from bench.play import Play, play
from bench.server import Bench, bench, shares


def main() -> None:
    """Measure each kind; print the table, keep it with --write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--files", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--write", action="store_true")
    parsed = parser.parse_args()
    measured = []
    with bench() as here:
        (here.folder / "contracts").mkdir()
        (here.folder / "contracts" / "numbers.odcs.yaml").write_text(numbers_document())
        for name in parsed.kinds:
            measured.append(measure(here, name, parsed.rows, parsed.files, parsed.rounds))
            print("{name:10} {sluice:>9,.0f} rows/s, \\copy {copy:>9,.0f}, ratio {ratio:.2f}".format(**measured[-1]))
        server = here.told()
    result = report.result(
        "kinds", rows=parsed.rows, files=parsed.files, rounds=parsed.rounds, server=server, kinds=measured
    )
    report.publish(result, keep=parsed.write)


def measure(here: Bench, name: str, rows: int, files: int, rounds: int) -> dict[str, Any]:
    """The medians of ``rounds`` pairs of one kind; clean rows per second."""
    kind, folder, table = KINDS[name], here.folder / name, f"kind_{name}"
    folder.mkdir()
    given, clean = make(kind, folder, rows, files)
    here.make_table(table, [column for column in kind.columns if column[0] in "nd" and column[1:].isdigit()])
    contracts = str(here.folder / "contracts") if "n0" in kind.columns else ""
    expected = sum(round(share * (1 - kind.dirty)) for share in shares(rows, files))
    play(here, "copy", clean, table, columns=kind.columns)  # warms the server
    pairs = []
    for number in range(rounds):
        turns = [("sluice", given), ("copy", clean)]
        pair = {}
        for who, paths in turns if number % 2 else reversed(turns):
            pair[who], _ = play(here, who, paths, table, columns=kind.columns, contracts=contracts)
            assert pair[who].rows == expected, f"{who}: {pair[who].rows} rows of {expected}"
        pairs.append(pair)
    size = sum(path.stat().st_size for path in given)
    here.run(f"DROP TABLE public.{table}")
    shutil.rmtree(folder)
    return {"name": name, "what": kind.what, "bytes": size, **_medians(pairs, expected)}


def make(kind: Kind, folder: Path, rows: int, files: int) -> tuple[list[Path], list[Path]]:
    """The files of the kind, and those with the clean rows."""
    given, clean = [], []
    for number, share in enumerate(shares(rows, files)):
        given.append(folder / f"given-{number}{kind.suffix}")
        clean.append(folder / f"clean-{number}.csv")
        kind.make(given[-1], share, f"kind-{number}")
        kind.clean(clean[-1], share, f"kind-{number}")
    return given, clean


def _medians(pairs: list[dict[str, Play]], rows: int) -> dict[str, float]:
    def median(who: str, what: str) -> float:
        return statistics.median(getattr(pair[who], what) for pair in pairs)

    return {
        "sluice": rows / median("sluice", "seconds"),
        "copy": rows / median("copy", "seconds"),
        "ratio": statistics.median(pair["copy"].seconds / pair["sluice"].seconds for pair in pairs),
        "client_us": median("sluice", "client_cpu") / rows * 1e6,
        "server_us": median("sluice", "server_cpu") / rows * 1e6,
        "copy_us": (median("copy", "client_cpu") + median("copy", "server_cpu")) / rows * 1e6,
    }


if __name__ == "__main__":
    main()
