"""CPU time of each step of loading a row, in one process, over files of several kinds.

    python -m bench.steps [--rows 200000] [--rounds 5] [--kinds events numbers ...] [--no-copy]

Steps: sha256 of the file, reading (decompress, find records, parse), judging, and the client's side of COPY (into a
temporary table without indexes; what PostgreSQL itself takes is not in it). Microseconds of CPU per record; medians.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import gzip
import hashlib
import json
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from sluice.base.settings import PROJECT, Settings
from sluice.contracts.event_columns import EVENT_COLUMNS
from sluice.contracts.judge import Judge
from sluice.contracts.matching import match
from sluice.contracts.model import Contract
from sluice.contracts.parse import parse_contract
from sluice.generator.files import write_file
from sluice.generator.records import Shares
from sluice.loading.writer_session import WriterSession
from sluice.reading.block import Block
from sluice.reading.csv_records import RecordReader
from sluice.reading.landed_bytes import LandedBytes
from sluice.running import embedded

CONTRACTS = PROJECT / "include" / "contracts"
SHA = "ab" * 32


def events(path: Path, rows: int, **shares: float) -> None:
    """The generator's events, clean unless ``shares`` say otherwise."""
    given = Shares(**shares) if shares else None
    write_file(path, rows=rows, seed="steps", now=datetime(2026, 1, 1, tzinfo=UTC), shares=given)


def quoted_newlines(path: Path, rows: int) -> None:
    """A third of the rows has a quoted line end in its user agent."""
    plain = path.with_suffix(".plain")
    events(plain, rows)
    lines = plain.read_text().split("\n")
    place = lines[0].split(",").index("user_agent")
    for i in range(1, len(lines) - 1, 3):
        if '"' not in lines[i]:
            fields = lines[i].split(",")
            fields[place] = f'"{fields[place][:20]}\n{fields[place][20:]}"'
            lines[i] = ",".join(fields)
    path.write_text("\n".join(lines))
    plain.unlink()


def again(path: Path, rows: int, made: Callable[[bytes], bytes]) -> None:
    """The clean events as other bytes."""
    events(path, rows)
    path.write_bytes(made(path.read_bytes()))


def three(path: Path, rows: int) -> None:
    """Three columns: an id, a kind and a moment."""
    rng = random.Random(1)
    with path.open("w") as file:
        file.write("event_id,event_type,timestamp\n")
        for i in range(rows):
            file.write(f"{_uuid(rng)},search,2026-01-01T00:{i // 60 % 60:02d}:{i % 60:02d}.123Z\n")


def numbers(path: Path, rows: int) -> None:
    """Forty columns: an id, a kind, a moment, and numbers and dates."""
    rng = random.Random(2)
    names = ["event_id", "event_type", "timestamp", *(f"n{i}" for i in range(27)), *(f"d{i}" for i in range(10))]
    with path.open("w") as file:
        file.write(",".join(names) + "\n")
        for i in range(rows):
            values = [f"{rng.randrange(10**6) / 100:.2f}" for _ in range(27)]
            dates = [f"20{rng.randrange(10, 30)}-0{rng.randrange(1, 10)}-1{rng.randrange(10)}" for _ in range(10)]
            moment = f"2026-01-01T00:{i // 60 % 60:02d}:{i % 60:02d}Z"
            file.write(",".join([_uuid(rng), "search", moment, *values, *dates]) + "\n")


def _uuid(rng: random.Random) -> str:
    h = f"{rng.getrandbits(128):032x}"
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"


KINDS: dict[str, Callable[[Path, int], None]] = {
    "events": events,
    "rejects": lambda path, rows: events(path, rows, dirty=0.05),
    "newlines": quoted_newlines,
    "gzip": lambda path, rows: again(path, rows, lambda data: gzip.compress(data, 6)),
    "utf16": lambda path, rows: again(path, rows, lambda data: ("\ufeff" + data.decode()).encode("utf-16-le")),
    "three": three,
    "numbers": numbers,
}


def default_contract() -> Contract:
    """The contract that is shipped for events."""
    path = CONTRACTS / "events.odcs.yaml"
    return parse_contract(path.read_text(), path)


def numbers_contract() -> Contract:
    """The default contract with 27 numbers and 10 dates of its own in place of the events' columns."""
    document = yaml.safe_load((CONTRACTS / "events.odcs.yaml").read_text())
    [schema] = document["schema"]
    schema.pop("quality")
    schema["properties"] = [
        *(column for column in schema["properties"] if column["name"] in ("event_id", "event_type", "timestamp")),
        *({"name": f"n{i}", "logicalType": "number", "logicalTypeOptions": {"minimum": 0}} for i in range(27)),
        *({"name": f"d{i}", "logicalType": "date"} for i in range(10)),
    ]
    return parse_contract(yaml.safe_dump(document), Path("numbers.odcs.yaml"))


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
            judged = _timed(steps, "judge", lambda block=block: judge.judge(block, found, file_id=1, sha256=SHA))
            _timed(steps, "read", lambda block=block, judged=judged: places(block, [row for row, *_ in judged.bad]))
            records += block.records
            if session is not None:
                good: pa.Table = judged.good
                _timed(steps, "copy", lambda good=good: session.copy(good, "steps"))
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
                path = folder / f"{kind}-{parsed.rows}.csv{'.gz' if kind == 'gzip' else ''}"
                if not path.exists():
                    KINDS[kind](path, parsed.rows)
                contract = numbers_contract() if kind == "numbers" else default_contract()
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
