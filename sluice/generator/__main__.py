"""``python -m sluice.generator``: write one file of shop events, of any size, for a trial or a measurement."""

from __future__ import annotations

import argparse
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

from sluice.base.settings import SettingError
from sluice.generator.files import write_file
from sluice.generator.records import Shares


def main(arguments: list[str] | None = None) -> int:
    """Write the file and print its manifest; 2 for arguments that cannot be used, 1 when the file cannot be written."""
    options = _parser().parse_args(arguments)
    started = time.monotonic()
    try:
        manifest = write_file(
            options.out,
            rows=options.rows,
            shares=Shares(options.dirty, options.late, options.repeat),
            seed=options.seed,
            now=options.now,
            span=timedelta(hours=options.span_hours),
            ordered_ids=options.ids == "ordered",
        )
    except SettingError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{options.out} cannot be written: {error}", file=sys.stderr)
        return 1
    seconds = time.monotonic() - started
    size = options.out.stat().st_size
    print(f"{manifest}, {size:,} bytes in {seconds:.1f} s ({manifest.rows / seconds:,.0f} rows/s)")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sluice.generator", description=__doc__)
    parser.add_argument("--rows", type=_count, required=True, help="rows of the file, without the header")
    parser.add_argument("--out", type=Path, required=True, help="the file; it appears when it is whole")
    parser.add_argument("--dirty", type=float, default=0.0, help="share of damaged rows, 0 to 1 (default 0)")
    parser.add_argument("--late", type=float, default=0.0, help="share of events hours to days old (default 0)")
    parser.add_argument("--repeat", type=float, default=0.0, help="share of exact copies of other rows (default 0)")
    parser.add_argument("--ids", choices=("random", "ordered"), default="random", help="uuid 4, or by time: uuid 7")
    parser.add_argument("--seed", default="", help="same seed and same --now: same bytes (default: random)")
    parser.add_argument("--now", type=_moment, help="ISO 8601 with zone; events end here (default: now)")
    parser.add_argument("--span-hours", type=_hours, default=24.0, help="how far the events reach back (default 24)")
    return parser


def _count(text: str) -> int:
    if (count := int(text)) < 0:
        raise argparse.ArgumentTypeError(f"{count} rows cannot be written: give 0 or more")
    return count


def _hours(text: str) -> float:
    if not (hours := float(text)) > 0:
        raise argparse.ArgumentTypeError(f"a span of {text} hours holds no events: give more than 0")
    return hours


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text!r} has no zone: write 2026-11-22T18:00:00Z")
    return moment


if __name__ == "__main__":
    sys.exit(main())
