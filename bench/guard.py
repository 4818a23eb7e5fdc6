"""A small league that fails when Sluice got slower: against ``\\copy`` over one connection, by wall and by CPU time.

    python -m bench.guard [--rows 200000] [--rounds 3] [--record]

The ratios are medians of pairs. One that is far below the one in bench/recorded.json (by wall time half, for Sluice
needs both cores and other work takes one of them; by CPU time a quarter) is measured once more, then it fails with exit
code 1. With --record they are written there, on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Mapping
from pathlib import Path

from bench.play import Play, play
from bench.server import Bench, bench, make_files
from sluice.base.settings import PROJECT

RECORDED = PROJECT / "bench" / "recorded.json"
LEAST = {"wall": 0.5, "cpu": 0.75}


def main() -> int:
    """0 when both ratios hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--record", action="store_true")
    parsed = parser.parse_args()
    with bench() as here:
        here.make_table("league")
        files = make_files(here.folder, parsed.rows, 2)
        play(here, "copy", files)  # warms the server
        found = measure(here, files, parsed.rounds)
        if parsed.record:
            RECORDED.write_text(json.dumps(found, indent=1) + "\n")
            return 0
        recorded = json.loads(RECORDED.read_text())
        if fallen(found, recorded):
            print("once more, for the machine may have been busy", flush=True)
            found = measure(here, files, parsed.rounds)
    told = fallen(found, recorded)
    print("\n".join(told) or "bench-guard: both ratios hold")
    return 1 if told else 0


def measure(here: Bench, files: list[Path], rounds: int) -> dict[str, float]:
    """``\\copy`` / Sluice, by wall and by CPU time (client and server): more is better."""
    pairs = []
    for number in range(rounds):
        order = ("sluice", "copy") if number % 2 else ("copy", "sluice")
        pair = {who: play(here, who, files)[0] for who in order}
        if pair["sluice"].checksum != pair["copy"].checksum:
            raise SystemExit("bench-guard: Sluice's rows are not those of \\copy")
        pairs.append(pair)
    found = {
        "wall": statistics.median(pair["copy"].seconds / pair["sluice"].seconds for pair in pairs),
        "cpu": statistics.median(_cpu(pair["copy"]) / _cpu(pair["sluice"]) for pair in pairs),
    }
    print("  ".join(f"\\copy / sluice, {name} time: {ratio:.2f}" for name, ratio in found.items()), flush=True)
    return found


def fallen(found: Mapping[str, float], recorded: Mapping[str, float]) -> list[str]:
    """A sentence for each ratio that is far below the recorded one."""
    return [
        f"bench-guard: \\copy / sluice by {name} time is {found[name]:.2f}, far below the recorded "
        f"{recorded[name]:.2f}: find what made loading slower (python -m bench.steps), or, when it is worth it, record "
        "the new ratio: make bench-guard RECORD=1"
        for name in recorded
        if found[name] < recorded[name] * LEAST[name]
    ]


def _cpu(one: Play) -> float:
    return one.client_cpu + one.server_cpu


if __name__ == "__main__":
    sys.exit(main())
