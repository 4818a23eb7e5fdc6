"""Fuzzes the record reader: mutated CSV files in, no crash, no hang, bounded memory, every record accounted for.

    python -m tests.fuzz.fuzz_reader --seconds 60 [--seed 1]

A failing input is written to the current folder, with the call that repeats it.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import random
import resource
import signal
import sys
import time
from pathlib import Path

from sluice.reading.csv_records import RecordReader
from sluice.reading.dialect import Dialect
from tests.unit.test_csv_records import lines_where, read

MEMORY_GROWTH_MAX = 300 << 20
HANG_SECONDS = 20
TOKENS = [
    b'"',
    b'""',
    b",",
    b"\n",
    b"\r",
    b"\r\n",
    b"\0",
    b"\xff",
    b"\\",
    b'\\"',
    b'","',
    b'"\n"',
    b"\xef\xbb\xbf",
    b"x" * 3000,
]
SEEDS = [
    b'a,b\n1,2\n"3","4"\n',
    b'a;b;c\r\n"x\r\ny";"say ""hi""";\r\n1;2;3',
    "œ\té\n☃\t1\n".encode(),
    "a,b\nœ,☃\n".encode("utf-16-le"),
    b'a|b\n"never closed|1\n2|3\n',
    b'a,b\n$78.07"Table, round"\n27" monitor,5" x 7"\nx""",""y\n',
    'a,b\n9"x, y"\n🛒,27" z\n'.encode("utf-16-be"),
    "a,b\n1,☃\n".encode("utf-32-le"),
]
DIALECTS = [
    Dialect(separator, quote, escape, encoding, stray_quote=stray_quote)
    for separator in ",;\t|"
    for quote in "\"'"
    for escape in (None, "\\")
    for encoding in ("utf-8", "latin-1", "utf-16-le", "utf-16-be", "utf-32-le")
    for stray_quote in (None, "warn", "reject")
]


def mutated(data: bytes, random_: random.Random) -> bytes:
    """``data`` with a few random damages."""
    for _ in range(random_.randint(1, 12)):
        at = random_.randint(0, len(data))
        kind = random_.randrange(5)
        if kind == 0:
            data = data[:at] + random_.choice(TOKENS) + data[at:]
        elif kind == 1:
            data = data[:at] + random_.randbytes(random_.randint(1, 4)) + data[at:]
        elif kind == 2:
            data = data[:at] + data[at + random_.randint(1, 9) :]
        elif kind == 3:
            data = data[:at] + data[random_.randint(0, len(data)) :][: random_.randint(1, 200)] + data[at:]
        else:
            data = data + random_.choice(SEEDS)
    return data[:200_000]


def check(data: bytes, dialect: Dialect, chunk: int, longest: int) -> None:
    """Raise AssertionError when a record is lost, doubled, or not where it says."""
    found = read(data, dialect, chunk=chunk, longest=longest)
    numbers = sorted(found.numbers + [record.record_number for record in found.broken])
    assert numbers == list(range(1, len(numbers) + 1)), "record numbers are not 1 to n"
    reader = RecordReader(io.BytesIO(data), dialect, chunk_bytes=chunk, record_bytes_max=longest)
    if reader.header() is not None:
        assert reader.count() == len(numbers), "counting finds other records than reading"
    kept = sum(map(len, found.raws)) + sum(len(record.raw) for record in found.broken)
    assert kept <= len(data), "records keep more bytes than the file has"
    rules = {record.rule for record in found.broken}
    assert not (found.strays and dialect.stray_quote == "reject"), "a stray quote only counts a warning"
    assert not ("record.stray_quote" in rules and dialect.stray_quote == "warn"), "a stray quote is set aside"
    if not dialect.is_transcoded and len(data) < 2000:
        for line, raw in zip(found.lines, found.raws, strict=True):
            assert line in lines_where(raw, data), f"{raw!r} is not on line {line}"


def main() -> int:
    """Fuzz for as long as was asked; exit code 1 and the input when something breaks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parsed = parser.parse_args()
    random_ = random.Random(parsed.seed)
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    check(SEEDS[0], DIALECTS[0], 64, 1000)
    resting = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    pool, runs, deadline = list(SEEDS), 0, time.monotonic() + parsed.seconds
    while time.monotonic() < deadline:
        data = mutated(random_.choice(pool), random_)
        case = (
            data,
            random_.choice(DIALECTS),
            random_.choice([3, 64, 1000, 1 << 16]),
            random_.choice([50, 5000, 1 << 20]),
        )
        signal.alarm(HANG_SECONDS)
        try:
            check(*case)
        except BaseException as error:
            path = Path(f"fuzz-{hashlib.sha256(data).hexdigest()[:12]}.csv")
            path.write_bytes(data)
            print(f"seed {parsed.seed}, run {runs}: {error!r}\n  input {path}, {case[1:]}")
            return 1
        signal.alarm(0)
        if len(pool) < 500:
            pool.append(data)
        else:
            pool[random_.randrange(len(SEEDS), 500)] = data
        runs += 1
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10) - resting
    print(f"{runs} inputs, seed {parsed.seed}: no crash, no hang; memory grew by {grown >> 20} MiB")
    return int(grown > MEMORY_GROWTH_MAX)


if __name__ == "__main__":
    sys.exit(main())
