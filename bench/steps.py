"""CPU time of each step of loading a row, in one process, over files of several kinds.

    python -m bench.steps [--rows 200000] [--rounds 5] [--kinds events numbers ...] [--no-copy]

Steps: sha256 of the file, reading (decompress, find records, parse), judging, and the client's side of COPY (into a
temporary table without indexes; what PostgreSQL itself takes is not in it). Microseconds of CPU per record; medians.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import hashlib
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from bench.kind_files import KINDS
from sluice.base.settings import Settings
from sluice.contracts.event_columns import EVENT_COLUMNS
from sluice.contracts.judge import Judge
from sluice.contracts.matching import match
from sluice.contracts.model import Contract
from sluice.loading.writer_session import WriterSession
from sluice.reading.block import Block
from sluice.reading.csv_records import RecordReader
from sluice.reading.landed_bytes import LandedBytes
from sluice.running import embedded

SHA = "ab" * 32


def _timed(steps: dict[str, float], name: str, work: Callable[[], Any]) -> Any:
    started = time.process_time()
    made = work()
    steps[name] += time.process_time() - started
    return made


def measure(
    path: Path, contract: Contract, judge: Judge, session: WriterSession | None, chunk: int
) -> dict[str, float]:
    """CPU seconds per record of each step, over one file."""
    steps = dict.fromkeys(("sha256", "read", "judge", "copy"), 0.0)
    records = 0
    _timed(steps, "sha256", lambda: hashlib.sha256(path.read_bytes()).hexdigest())
    with LandedBytes(path, path.name) as landed:
        dialect = contract.dialect
        if landed.marked_encoding:
            dialect = dataclasses.replace(dialect, encoding=landed.marked_encoding)
        reader = RecordReader(landed, dialect, chunk_bytes=chunk)
        header = reader.header()
        assert header is not None
        found = match([(contract, header)])
        blocks: Iterator[Block] = reader.blocks(len(header))
        while (block := _timed(steps, "read", lambda: next(blocks, None))) is not None:
            judged = _timed(steps, "judge", partial(judge.judge, block, found, file_id=1, sha256=SHA))
            _timed(steps, "read", partial(places, block, [row for row, *_ in judged.bad]))
            records += block.records
            if session is not None:
                good: pa.Table = judged.good
                _timed(steps, "copy", partial(session.copy, good, "steps"))
    steps["read"] -= steps["sha256"]  # the reader hashes what it reads
    if session is not None:
        session.rollback()
    return {step: seconds / records * 1e6 for step, seconds in steps.items()}


def places(block: Block, rows: list[int]) -> None:
    """What the rejects of a block need: line numbers and raw bytes."""
    for row in rows:
        int(block.line_numbers[row])
        block.raw(row)


@contextlib.contextmanager
def database(folder: Path, *, used: bool) -> Iterator[WriterSession | None]:
    """A session that can copy into the temporary table steps, or None."""
    if not used:
        yield None
        return
    server = embedded.Server(folder / "server", embedded.binaries())
    try:
        server.start()
        session = WriterSession(server.url(), "steps")
        columns = ", ".join(f"{name} {kind}" for name, kind in EVENT_COLUMNS.items())
        place = "extra jsonb, file_id bigint, record_number bigint"
        session.connection.execute(f"CREATE TEMPORARY TABLE steps ({columns}, {place})")
        session.commit()
        yield session
        session.disconnect()
    finally:
        server.stop()


def main() -> None:
    """Print a table of microseconds of CPU per record, by kind of file and step; as JSON with --json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--chunk", type=int, default=Settings.chunk_bytes)
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--folder", type=Path, help="keep the files here, and use those that are there")
    parser.add_argument("--no-copy", action="store_true")
    parser.add_argument("--json", type=Path)
    parsed = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="sluice-steps-"))
    folder = parsed.folder or scratch
    judge, results = Judge(), {}
    try:
        with database(scratch, used=not parsed.no_copy) as session:
            for kind in parsed.kinds:
                path = folder / f"{kind}-{parsed.rows}{KINDS[kind].suffix}"
                if not path.exists():
                    KINDS[kind].make(path, parsed.rows, "steps")
                contract = KINDS[kind].contract()
                rounds = [measure(path, contract, judge, session, parsed.chunk) for _ in range(parsed.rounds)]
                results[kind] = {step: statistics.median(one[step] for one in rounds) for step in rounds[0]}
                told = "  ".join(f"{step} {value:6.3f}" for step, value in results[kind].items())
                print(f"{kind:10} {told}  all {sum(results[kind].values()):6.3f}", flush=True)
    finally:
        judge.close()
        shutil.rmtree(scratch, ignore_errors=True)
    if parsed.json:
        parsed.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
