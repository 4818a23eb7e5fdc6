"""Chaos: the real pipeline under load, one fault a round, and then every row that landed compared with PostgreSQL.

    python -m tests.chaos [--rounds 5] [--seed 2026] [--only "driver killed"] [--keep] [--control]

Prints a line a round and a table at the end; writes both to bench/results/chaos.json. Exit code 0 only when no row was
lost, doubled or wrong, every fault hit and was recovered from, and no process was left behind. With --control a loader
that commits the ledger before the rows is played against some of the faults: exit code 0 only when the recount finds
rows lost or doubled, and `make reconcile` says BROKEN; otherwise the harness itself is broken. As root the disks are
small file systems that can be filled; otherwise those two faults are left out, and the table says so.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from sluice.base.settings import PROJECT
from tests.chaos import control
from tests.chaos.arena import Arena, ArenaError
from tests.chaos.faults import FAULTS, NEED_SMALL_DISK, Hit, MissedError, Round, finished, said_in_log
from tests.chaos.recount import Recount, recount

RESULTS = PROJECT / "bench" / "results" / "chaos.json"
INSIDE = "CHAOS_HAS_ITS_OWN_MOUNTS"
BACK_SECONDS = 300.0
STREAMS_AFTER_A_FAULT = 3
_AFTER = "SELECT name FROM ledger.files WHERE name LIKE 'events-%%' AND state = 'loaded' AND landed_at > %s LIMIT 1"
_RUNNING = "SELECT epoch FROM ledger.streams WHERE state = 'running' AND lease_until > clock_timestamp()"


@dataclass
class Result:
    """One round. ``back``: seconds until the stream had loaded all that had landed when the fault was over, and one
    file more; ``flowing``: until a batch that the scheduled generator made after the fault was loaded too."""

    number: int
    fault: str
    back: float | None = None
    flowing: float | None = None
    streams: int = 0
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def line(self) -> str:
        """The round for people."""
        times = (
            "not hit" if self.back is None else f"back after {self.back:5.1f} s, flowing after {self.flowing:5.1f} s"
        )
        new = f", {self.streams} new stream{'s' if self.streams > 1 else ''}" if self.streams else ""
        return "; ".join([f"{self.number:3d}  {self.fault:<31} {times}{new}", *self.notes, *self.problems])


def main(arguments: list[str] | None = None) -> int:
    """Run the rounds, recount, print and write the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", default="2026", help="decides the faults, their order and their moments")
    parser.add_argument("--only", action="append", choices=list(FAULTS), help="only this fault (may be repeated)")
    parser.add_argument("--keep", action="store_true", help="keep the folder with all logs")
    parser.add_argument("--control", action="store_true", help="play against a loader that must be found out")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    begun = time.monotonic()
    arena = Arena(options.rounds, options.seed, control=options.control)
    results: list[Result] = []
    found, left, problems = None, ["the run did not come to its end"], []
    left_out = set() if arena.state_disk.is_small and arena.database_disk.is_small else NEED_SMALL_DISK
    say(f"chaos: {options.rounds} rounds, seed {options.seed}, in {arena.folder}")
    try:
        arena.start()
        say(f"chaos: the pipeline runs after {time.monotonic() - begun:.0f} s")
        only = options.only or (list(control.FAULTS) if options.control else None)
        for number, fault in enumerate(chosen(options.seed, options.rounds, only, left_out), start=1):
            results.append(play(arena, number, fault, random.Random(f"{options.seed} {number}")))
            say(results[-1].line())
        problems += come_to_rest(arena)
        found = recount(arena.landings.all(), arena.direct_url, arena.unloaded, merged=True)
    except ArenaError as error:
        problems.append(str(error))
    except KeyboardInterrupt:
        problems.append("it was interrupted")
    finally:
        left = arena.close(keep=options.keep or found is None or not found.holds)
    problems += [f"left behind: {each}" for each in left]
    problems += [f"landed and went before it could be copied: {name}" for name in arena.landings.missed]
    if options.control:
        return found_out(found, problems, time.monotonic() - begun)
    outcome = summary(options, results, found, problems, left_out)
    outcome["seconds"] = round(time.monotonic() - begun)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(outcome, indent=2, ensure_ascii=False) + "\n")
    say(table(outcome))
    return 0 if outcome["holds"] else 1


def found_out(found: Recount | None, problems: list[str], seconds: float) -> int:
    """Say what became of the control arm; 0 when the recount and `make reconcile` called it broken."""
    said = [problem for problem in problems if problem.startswith("make reconcile: ") and "BROKEN" in problem]
    lost = found is not None and bool(found.lost or found.doubled)
    if found is not None:
        say(f"rows of {found.files:,} files: {found.lost:,} lost, {found.doubled:,} doubled, {found.wrong:,} wrong")
        say("\n".join(found.findings[:5]))
    say("\n".join(problem[:1000] for problem in problems))
    verdict = "called broken, as it must be" if lost and said else "NOT FOUND OUT: this harness proves nothing"
    say(f"chaos, control arm, {seconds:.0f} s: a loader that commits the ledger before the rows is {verdict}")
    return 0 if lost and said else 1


def chosen(seed: str, rounds: int, only: list[str] | None, left_out: set[str]) -> Iterator[str]:
    """The fault of each round: all kinds in an order that the seed decides, then all again in another."""
    rng = random.Random(seed)
    pool: list[str] = []
    for _ in range(rounds):
        if not pool:
            pool = [name for name in FAULTS if name not in left_out and (not only or name in only)]
            rng.shuffle(pool)
        yield pool.pop()


def play(arena: Arena, number: int, fault: str, rng: random.Random) -> Result:
    """One round: load, fault, recovery. Raises ArenaError when the pipeline does not come back."""
    now = Round(arena, rng, number)
    result = Result(number, fault)
    for rows in (rng.randrange(5_000, 20_000), 500, 500):
        now.land(rows)
    began = time.time()
    newest = _newest_stream(arena)
    time.sleep(rng.uniform(0, 3))
    try:
        hit = FAULTS[fault](now)
    except MissedError as missed:
        result.problems.append(f"missed: {missed}")
        hit = Hit()
    ended = time.time()
    landed = {*arena.landings.names(), *now.land(100)}
    arena.wait_for(lambda: is_back(arena, landed), BACK_SECONDS, f"recovery from: {fault}")
    back = time.monotonic() - hit.since
    arena.wait_for(
        lambda: arena.healthy() and arena.rows(_AFTER, [_moment(ended)]), BACK_SECONDS, f"new batches after: {fault}"
    )
    if not any(problem.startswith("missed") for problem in result.problems):
        result.back, result.flowing = back, time.monotonic() - hit.since
    begun = arena.rows("SELECT count(*) AS streams FROM ledger.streams WHERE epoch > %s", [newest])
    result.streams = begun[0]["streams"] if begun else 0
    result.notes += hit.notes
    result.problems += hit.problems + unsaid(arena, hit, began)
    if result.streams > STREAMS_AFTER_A_FAULT:
        result.problems.append(f"{result.streams} streams were begun one after the other")
    return result


def is_back(arena: Arena, landed: set[str]) -> bool:
    """Whether a stream runs and has finished all files that had landed."""
    return finished(arena, landed) and bool(arena.rows(_RUNNING))


def unsaid(arena: Arena, hit: Hit, began: float) -> list[str]:
    """What people were not told of an outage: neither in the ledger, nor in the task's log."""
    if not hit.says:
        return []
    query = "SELECT last_error FROM ledger.streams WHERE last_error ~* %s AND last_error_at > %s"
    problems = [] if arena.rows(query, [hit.says, _moment(began)]) else [f"the ledger does not say {hit.says!r}"]
    return problems + ([] if said_in_log(arena, hit.says, began) else [f"no task log says {hit.says!r}"])


def come_to_rest(arena: Arena) -> list[str]:
    """Stop the generator, let all that landed be finished, and let Sluice recount for itself."""
    arena.command("airflow", "dags", "pause", "--yes", "generate_events")
    time.sleep(10)  # a batch that was being made
    landed = set(arena.landings.names())
    arena.wait_for(lambda: is_back(arena, landed), BACK_SECONDS, "rest")
    merged = arena.command("merge")
    if merged.returncode != 0:
        return [f"make merge: {(merged.stdout + merged.stderr).strip()[-2000:]}"]
    told = arena.command("reconcile")
    return [] if told.returncode == 0 else [f"make reconcile: {told.stdout.strip()[-2000:]}"]


def summary(
    options: argparse.Namespace,
    results: list[Result],
    found: Recount | None,
    problems: list[str],
    left_out: set[str],
) -> dict[str, Any]:
    """Everything that is printed and written."""
    kinds = {
        fault: {"rounds": len(of_kind), **_times([one.back for one in of_kind]), "flowing": _times_of(of_kind)}
        for fault in FAULTS
        if (of_kind := [one for one in results if one.fault == fault])
    }
    problems = problems + [f"round {one.number}, {one.fault}: {each}" for one in results for each in one.problems]
    return {
        "rounds": options.rounds,
        "seed": options.seed,
        "holds": found is not None and found.holds and not problems and len(results) == options.rounds,
        "rows": found.as_dict() if found else None,
        "recovery_seconds": _times([one.back for one in results]),
        "flowing_seconds": _times_of(results),
        "faults": kinds,
        "left_out": sorted(left_out),
        "problems": problems,
        "played": [asdict(one) for one in results],
    }


def table(outcome: dict[str, Any]) -> str:
    """The outcome as a Markdown table, then the rows, then what was found."""
    lines = ["", "| fault | rounds | stream back: p50 | max | flowing again: max |", "|---|---|---|---|---|"]
    for fault, one in outcome["faults"].items():
        flowing = one["flowing"]["max"]
        lines.append(f"| {fault} | {one['rounds']} | {_s(one['p50'])} | {_s(one['max'])} | {_s(flowing)} |")
    back, flows = outcome["recovery_seconds"], outcome["flowing_seconds"]
    lines.append(f"| all | {len(outcome['played'])} | {_s(back['p50'])} | {_s(back['max'])} | {_s(flows['max'])} |")
    lines += ["", f"stream back: p50 {_s(back['p50'])}, p95 {_s(back['p95'])}, max {_s(back['max'])}"]
    lines.append(f"flowing again: p50 {_s(flows['p50'])}, p95 {_s(flows['p95'])}, max {_s(flows['max'])}")
    if rows := outcome["rows"]:
        counts = ", ".join(
            f"{rows[name]:,} {name}" for name in ("sent", "loaded", "rejected", "duplicate", "lost", "doubled", "wrong")
        )
        lines += [f"rows of {rows['files']:,} files: {counts}", *rows["findings"]]
    lines += [f"left out, which needs root: {fault}" for fault in outcome["left_out"]]
    lines += [f"problem: {problem}" for problem in outcome["problems"]]
    verdict = "nothing lost, nothing twice" if outcome["holds"] else "NOT AS PROMISED"
    return "\n".join([*lines, f"chaos: {outcome['rounds']} rounds, seed {outcome['seed']}: {verdict}"])


def say(line: str) -> None:
    """To the terminal, at once."""
    print(line, flush=True)


def _times_of(results: list[Result]) -> dict[str, float | None]:
    return _times([one.flowing for one in results])


def _times(values: list[float | None]) -> dict[str, float | None]:
    known = [value for value in values if value is not None]
    if not known:
        return {"p50": None, "p95": None, "max": None}
    p50, p95, most = np.percentile(known, [50, 95, 100])
    return {"p50": round(float(p50), 1), "p95": round(float(p95), 1), "max": round(float(most), 1)}


def _s(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.1f} s"


def _newest_stream(arena: Arena) -> int:
    rows = arena.rows("SELECT coalesce(max(epoch), 0) AS epoch FROM ledger.streams")
    return int(rows[0]["epoch"]) if rows else 0


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def with_mounts_of_its_own() -> None:
    """As root, begin again where what is mounted is gone when this process is, however it ends."""
    if os.geteuid() == 0 and INSIDE not in os.environ and (unshare := shutil.which("unshare")):
        if subprocess.run([unshare, "--mount", "true"], capture_output=True).returncode != 0:
            return  # a root that may not mount: the disks cannot be small ones
        command = [unshare, "--mount", sys.executable, "-m", "tests.chaos", *sys.argv[1:]]
        os.execve(unshare, command, os.environ | {INSIDE: "yes"})


if __name__ == "__main__":
    with_mounts_of_its_own()
    sys.exit(main())
