"""Files of several kinds, to measure what each costs: makers, and the contracts that they belong to."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import yaml

from bench.peers.base import COLUMNS
from sluice.base.settings import PROJECT
from sluice.contracts.model import Contract
from sluice.contracts.parse import parse_contract
from sluice.generator.files import write_file
from sluice.generator.records import Shares

CONTRACTS = PROJECT / "include" / "contracts"


@dataclass(frozen=True)
class Kind:
    """How its files are made: ``make(path, rows, seed)``, and ``clean``, which makes the same rows as plain CSV."""

    what: str
    make: Callable[[Path, int, str], None]
    clean: Callable[[Path, int, str], None]
    columns: Sequence[str] = tuple(COLUMNS)
    suffix: str = ".csv"
    dirty: float = 0.0

    def contract(self) -> Contract:
        """What its files belong to."""
        return numbers_contract() if "n0" in self.columns else default_contract()


def events(path: Path, rows: int, seed: str, **shares: float) -> None:
    """The generator's events, clean unless ``shares`` say otherwise."""
    given = Shares(**shares) if shares else None
    write_file(path, rows=rows, seed=seed, now=datetime(2026, 1, 1, tzinfo=UTC), shares=given)


def quoted_newlines(path: Path, rows: int, seed: str) -> None:
    """A third of the rows has a quoted line end in its user agent."""
    plain = path.with_suffix(".plain")
    events(plain, rows, seed)
    lines = plain.read_text().split("\n")
    place = lines[0].split(",").index("user_agent")
    for i in range(1, len(lines) - 1, 3):
        if '"' not in lines[i]:
            fields = lines[i].split(",")
            fields[place] = f'"{fields[place][:20]}\n{fields[place][20:]}"'
            lines[i] = ",".join(fields)
    path.write_text("\n".join(lines))
    plain.unlink()


def again(path: Path, rows: int, seed: str, made: Callable[[bytes], bytes]) -> None:
    """The clean events as other bytes."""
    events(path, rows, seed)
    path.write_bytes(made(path.read_bytes()))


def three(path: Path, rows: int, seed: str) -> None:
    """Three columns: an id, a kind and a moment."""
    rng = random.Random(seed)
    with path.open("w") as file:
        file.write("event_id,event_type,timestamp\n")
        for i in range(rows):
            file.write(f"{_uuid(rng)},search,2026-01-01T00:{i // 60 % 60:02d}:{i % 60:02d}.123Z\n")


def numbers(path: Path, rows: int, seed: str) -> None:
    """Forty columns: an id, a kind, a moment, and numbers and dates."""
    rng = random.Random(seed)
    with path.open("w") as file:
        file.write(",".join(FORTY) + "\n")
        for i in range(rows):
            values = [f"{rng.randrange(10**6) / 100:.2f}" for _ in range(27)]
            dates = [f"20{rng.randrange(10, 30)}-0{rng.randrange(1, 10)}-1{rng.randrange(10)}" for _ in range(10)]
            moment = f"2026-01-01T00:{i // 60 % 60:02d}:{i % 60:02d}Z"
            file.write(",".join([_uuid(rng), "search", moment, *values, *dates]) + "\n")


def _uuid(rng: random.Random) -> str:
    h = f"{rng.getrandbits(128):032x}"
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"


DIRTY = 0.05
THREE = ("event_id", "event_type", "timestamp")
FORTY = (*THREE, *(f"n{i}" for i in range(27)), *(f"d{i}" for i in range(10)))
KINDS = {
    "events": Kind("the generator's events, 15 columns", events, events),
    "rejects": Kind(
        "5 % of the rows break a rule",
        partial(events, dirty=DIRTY),
        lambda path, rows, seed: events(path, round(rows * (1 - DIRTY)), seed),
        dirty=DIRTY,
    ),
    "newlines": Kind("a third of the rows with a quoted line end", quoted_newlines, quoted_newlines),
    "gzip": Kind("gzip", partial(again, made=partial(gzip.compress, compresslevel=6)), events, suffix=".csv.gz"),
    "utf16": Kind("UTF-16", partial(again, made=lambda data: ("\ufeff" + data.decode()).encode("utf-16-le")), events),
    "three": Kind("3 columns", three, three, THREE),
    "numbers": Kind("40 columns of numbers and dates", numbers, numbers, FORTY),
}


def default_contract() -> Contract:
    """The contract that is shipped for events."""
    path = CONTRACTS / "events.odcs.yaml"
    return parse_contract(path.read_text(), path)


def numbers_contract() -> Contract:
    """The default contract with 27 numbers and 10 dates of its own in place of the events' columns."""
    return parse_contract(numbers_document(), Path("numbers.odcs.yaml"))


def numbers_document() -> str:
    """Its YAML."""
    document = yaml.safe_load((CONTRACTS / "events.odcs.yaml").read_text())
    [schema] = document["schema"]
    schema.pop("quality")
    schema["properties"] = [
        *(column for column in schema["properties"] if column["name"] in ("event_id", "event_type", "timestamp")),
        *({"name": f"n{i}", "logicalType": "number", "logicalTypeOptions": {"minimum": 0}} for i in range(27)),
        *({"name": f"d{i}", "logicalType": "date"} for i in range(10)),
    ]
    return yaml.safe_dump(document)
