"""Fuzzes the record reader: mutated CSV files in any dialect and layout that a contract can declare. No crash, no hang,
bounded memory, every byte accounted for, and the recount's reader finds the same.

    python -m tests.fuzz.fuzz_reader --seconds 60 [--seed 1]
    python -m tests.fuzz.fuzz_reader --inputs 3000 --seed 1     # the same inputs on any machine

A failing input is written to the current folder, with the call that repeats it.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import itertools
import random
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from sluice.contracts.dialect import parse_dialect, parse_layout
from sluice.contracts.model import ContractError
from sluice.reading.csv_records import RecordReader
from sluice.reading.dialect import Dialect
from sluice.reading.layout import Layout
from tests.two_readers import Cuts, assert_they_agree, by_the_loader, encoded
from tests.unit.test_readers_agree import COMMENTS, ENCODINGS, ESCAPES, FOOTERS, LETTERS, NULLS, QUOTES, SEPARATORS

MEMORY_GROWTH_MAX = 300 << 20
HANG_SECONDS = 20  # of CPU: on a busy machine a run may wait
POOL = 500
TOKENS = [
    b'"',
    b'""',
    b",",
    b"\n",
    b"\r",
    b"\r\n",
    b"\0",
    b"\xff",
    b"\x81",
    b"\\",
    b'"\n"',
    b"\xef\xbb\xbf",
    b"x" * 3000,
]


@dataclass(frozen=True)
class Input:
    """A file, how it is to be read, and how many fields a record has where the file does not name them."""

    data: bytes
    dialect: Dialect
    layout: Layout
    width: int


def any_dialect(random_: random.Random) -> Dialect:
    """One that a contract may declare."""
    while True:
        marks = {
            "separator": random_.choice(SEPARATORS),
            "quote": random_.choice(QUOTES),
            "escape": random_.choice(ESCAPES),
            "encoding": random_.choice(ENCODINGS),
            "comment": random_.choice(COMMENTS),
            "nulls": random_.choice(NULLS),
            "strayQuote": random_.choice([None, "warn", "reject"]),
        }
        try:
            return parse_dialect(marks)
        except ContractError:
            continue


def any_layout(random_: random.Random) -> Layout:
    """One that a contract may declare."""
    header = random_.choice(["first", "first", "none", "ignore"])
    layout = {"skipLines": random_.choice([0, 0, 1, 2]), "header": header, "footer": random_.choice([None, *FOOTERS])}
    return parse_layout(layout if header == "none" else {**layout, "headerLines": random_.choice([1, 1, 2, 3])})


def well_formed(random_: random.Random) -> Input:
    """A table as a correct writer of some dialect and layout writes it."""
    dialect, layout, width = any_dialect(random_), any_layout(random_), random_.randint(1, 4)
    separator, quote, end = dialect.separator, dialect.quote, random_.choice(["\n", "\r\n", "\r"])
    texts = [*LETTERS, "x" * 30, separator, separator[:1], quote, quote * 2, dialect.escape or "", "\n", "T", " "]

    def written(value: str) -> str:
        special = [*separator, quote, "\n", "\r", *(dialect.escape or "")]
        if value and random_.random() < 0.7 and not any(each in value for each in special):
            return value
        value = value.replace(dialect.escape, dialect.escape * 2) if dialect.escape else value
        return quote + value.replace(quote, quote * 2) + quote

    def record(begin: str = "") -> str:
        values = [begin + "".join(random_.choices(texts, k=random_.randint(0, 5))) for _ in range(width)]
        return separator.join(map(written, values)) + end

    pieces = [f"sep={separator}{end}"] if random_.random() < 0.1 else []
    pieces += ["title" + random_.choice([quote, separator, ""]) + end for _ in range(layout.skip_lines)]
    pieces += [record("h") for _ in range(layout.header_lines if layout.header != "none" else 0)]
    for _ in range(random_.choice([0, 3, 20])):
        pieces.append(random_.choice([record(), record(), record(), end, (dialect.comment or "") + record()]))
    pieces += ["TT" + record() for _ in range(random_.choice([0, 0, 2]))]
    return Input(encoded("".join(pieces), dialect.encoding), dialect, layout, width)


def mutated(one: Input, random_: random.Random) -> Input:
    """``one`` with a few random damages, seldom read otherwise."""
    data, dialect = one.data, one.dialect
    own = [dialect.separator, dialect.separator[:1], dialect.quote, dialect.escape or "\\", dialect.comment or "#"]
    own += ["\n", "\r\n", "\r", "T", "TT", dialect.quote * 2, (dialect.escape or "") + dialect.quote, *LETTERS]
    tokens = [*TOKENS, *(encoded(text, dialect.encoding) for text in own)]
    for _ in range(random_.randint(1, 12)):
        at = random_.randint(0, len(data))
        kind = random_.randrange(8)
        if kind < 4:
            data = data[:at] + random_.choice(tokens) + data[at:]
        elif kind == 4:
            data = data[:at] + random_.randbytes(random_.randint(1, 4)) + data[at:]
        elif kind == 5:
            data = data[:at] + data[at + random_.randint(1, 9) :]
        elif kind == 6:
            data = data[:at] + data[random_.randint(0, len(data)) :][: random_.randint(1, 200)] + data[at:]
        elif random_.random() < 0.2:
            one = replace(one, dialect=any_dialect(random_))
        elif random_.random() < 0.2:
            one = replace(one, layout=any_layout(random_))
    return replace(one, data=data[:20_000])


def check(folder: Path, one: Input, longest: int, cuts: Cuts) -> None:
    """Raise AssertionError when a record is lost, doubled, not where it says, or read otherwise by the other reader."""
    dialect, layout = one.dialect, one.layout
    assert_they_agree(folder, one.data, dialect, layout, width=one.width, longest=longest, cuts=cuts)
    found = by_the_loader(folder / "x.csv", dialect, layout, width=one.width, longest=longest, cuts=cuts)
    reader = RecordReader(io.BytesIO(one.data), dialect, layout, chunk_bytes=cuts.chunk, record_bytes_max=longest)
    if found.dialect == dialect and found.header is not None:
        assert reader.header() == found.header
        assert reader.count() == len(found.records), "counting finds other records than reading"
    rules = {record.rule for record in found.broken.values()}
    assert not (found.strays and dialect.stray_quote == "reject"), "a stray quote only counts a warning"
    assert not ("record.stray_quote" in rules and dialect.stray_quote == "warn"), "a stray quote is set aside"


def any_cuts(random_: random.Random, size: int) -> Cuts:
    """From where every boundary of so many bytes is hit to where none is; a long file is not cut into thousands."""
    least = size // 100
    return Cuts(
        chunk=max(least, random_.choice([1, 3, 64, 1000, 1 << 16])),
        window=max(least, random_.choice([1, 5, 40, 300, 2 << 20])),
        near=random_.choice([3, 1 << 16]),
        slow_run=random_.choice([1, 64]),
        second_chunk=max(least, random_.choice([7, 500, 1 << 20])),
    )


def main() -> int:
    """Fuzz for as long or as much as was asked; exit code 1 and the input when something breaks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--inputs", type=int, help="as many, however long they take")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parsed = parser.parse_args()
    random_ = random.Random(parsed.seed)
    signal.signal(signal.SIGPROF, signal.default_int_handler)
    with tempfile.TemporaryDirectory() as folder:
        turns = range(parsed.inputs) if parsed.inputs else until(time.monotonic() + parsed.seconds)
        return fuzz(random_, parsed.seed, turns, Path(folder))


def until(deadline: float) -> Iterator[int]:
    """Count up until then."""
    return itertools.takewhile(lambda _: time.monotonic() < deadline, itertools.count())


def fuzz(random_: random.Random, seed: int, turns: Iterable[int], folder: Path) -> int:
    """The exit code, after an input for each of ``turns`` or the first failure."""
    pool = [well_formed(random_) for _ in range(POOL)]
    check(folder, pool[0], 1000, Cuts())
    resting = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    run = -1
    for run in turns:
        one = well_formed(random_) if random_.random() < 0.2 else mutated(random_.choice(pool), random_)
        longest, cuts = random_.choice([50, 5000, 1 << 20]), any_cuts(random_, len(one.data))
        signal.setitimer(signal.ITIMER_PROF, HANG_SECONDS)
        try:
            check(folder, one, longest, cuts)
        except BaseException as error:
            path = Path(f"fuzz-{hashlib.sha256(one.data).hexdigest()[:12]}.csv")
            path.write_bytes(one.data)
            how = f"{one.dialect}, {one.layout}, width={one.width}, longest={longest}, cuts={cuts}"
            print(f"seed {seed}, run {run}: {error!r}\n  assert_they_agree(folder, Path('{path}').read_bytes(), {how})")
            return 1
        signal.setitimer(signal.ITIMER_PROF, 0)
        pool[random_.randrange(POOL)] = one
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10) - resting
    print(f"{run + 1} inputs, seed {seed}: no crash, no hang; memory grew by {grown >> 20} MiB")
    return int(grown > MEMORY_GROWTH_MAX)


if __name__ == "__main__":
    sys.exit(main())
