"""What lands: a batch under a temporary name, renamed when it is whole, and the manifest of what is in it."""

from __future__ import annotations

import re
import secrets
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from sluice.base.renaming import replacing
from sluice.base.settings import Settings
from sluice.generator.records import HEADER, Plan, Shares, chunks
from sluice.generator.traffic import weight_at
from sluice.landing.land import land

TAIL_FILE = "generator-tail.csv"
_ROW = re.compile(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12},[a-z_]+,")


@dataclass
class Manifest:
    """What a file holds, counted while it was made; ``rows`` are its records without the header."""

    path: Path
    rows: int = 0
    late: int = 0
    repeated: int = 0
    dirty_by_kind: Counter[str] = field(default_factory=Counter)
    tail: tuple[bytes, ...] = field(default=(), repr=False)

    @property
    def dirty(self) -> int:
        """Rows that a strict reader must reject."""
        return self.dirty_by_kind.total()

    def __str__(self) -> str:
        return f"{self.path.name}: {self.rows} rows, {self.dirty} dirty, {self.late} late, {self.repeated} repeated"


def land_batch(
    settings: Settings, *, now: datetime | None = None, seed: str | None = None, rows: int | None = None
) -> Manifest:
    """Land one batch of events that happened shortly before ``now``, and say what is in it.

    ``rows`` defaults to ``settings.generate_rows``, times the weight of the hour (UTC) while ``generate_rhythm`` is on.
    Equal seed, ``now`` and rows after an equal batch make equal bytes; an empty seed is another one each time.
    Raises SettingError for shares of more than 1 in sum, NotLandedError when it cannot be landed.
    """
    now = now or datetime.now(UTC)
    end = _milliseconds(now)
    run = settings.home_dir / "run"
    plan = Plan(
        rows=_rows_at(settings, end) if rows is None else rows,
        shares=Shares(settings.generate_dirty_share, settings.generate_late_share, settings.generate_repeat_share),
        seed=settings.generate_seed if seed is None else seed,
        window=(end - max(1, round(settings.generate_every_seconds * 1000)), end),
        tail=_read_tail(run / TAIL_FILE),
        ordered_ids=settings.generate_ids == "ordered",
    )
    name = f"events-{now.astimezone(UTC):%Y%m%dT%H%M%S}{end % 1000:03d}Z-{uuid4().hex}.csv"
    manifest = Manifest(settings.incoming_dir / name)
    manifest.path = land(settings, name, _text(plan, manifest)).path
    _write_tail(run / TAIL_FILE, manifest.tail)
    return manifest


def write_file(
    path: Path,
    *,
    rows: int,
    shares: Shares | None = None,
    seed: str = "",
    now: datetime | None = None,
    span: timedelta = timedelta(days=1),
    ordered_ids: bool = False,
) -> Manifest:
    """Write one file of ``rows`` events of the ``span`` before ``now``, in constant memory; replaces ``path``."""
    end = _milliseconds(now or datetime.now(UTC))
    window = (end - max(1, round(span.total_seconds() * 1000)), end)
    manifest = Manifest(path)
    with replacing(path) as file:
        plan = Plan(rows=rows, shares=shares or Shares(), seed=seed, window=window, ordered_ids=ordered_ids)
        file.writelines(_text(plan, manifest))
    return manifest


def _milliseconds(moment: datetime) -> int:
    return (moment - datetime.fromtimestamp(0, UTC)) // timedelta(milliseconds=1)


def _rows_at(settings: Settings, time_ms: int) -> int:
    weight = weight_at(time_ms) if settings.generate_rhythm else 1.0
    return max(1, round(settings.generate_rows * weight))


def _text(plan: Plan, manifest: Manifest) -> Iterator[bytes | memoryview]:
    """The file's bytes, chunk by chunk, counted in the manifest as they are taken."""
    yield HEADER.encode() + b"\n"
    for chunk in chunks(plan if plan.seed else _seeded(plan)):
        manifest.rows += chunk.rows
        manifest.late += chunk.late
        manifest.repeated += chunk.repeated
        manifest.dirty_by_kind += chunk.dirty
        manifest.tail = chunk.tail
        yield chunk.lines


def _seeded(plan: Plan) -> Plan:
    return Plan(**{**vars(plan), "seed": secrets.token_hex(16)})


def _read_tail(path: Path) -> tuple[bytes, ...]:
    """Rows of the last batch; none when the file is absent or unreadable, and never a line that is no row."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError:
        return ()
    return tuple(line for line in lines if _ROW.match(line))


def _write_tail(path: Path, lines: tuple[bytes, ...]) -> None:
    if lines:
        with replacing(path) as file:
            file.write(b"\n".join(lines) + b"\n")
