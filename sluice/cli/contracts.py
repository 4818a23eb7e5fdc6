"""Commands about contracts: what a feed's files should look like."""

from __future__ import annotations

import argparse
from pathlib import Path

from sluice.cli.command import argument, command
from sluice.running.pipeline import InstanceError, Pipeline


@command(
    "contract",
    "draft a contract from a CSV file; exit code 3 when a person must complete it",
    argument("file", type=Path),
    argument("--name", help="the feed's name (default: from the file's)"),
    argument("--arrival", action="store_true", help="an event's time is when its file landed: landed_at()"),
    argument("--output", "-o", type=Path, help="write it to this file or folder (default: print it)"),
)
def contract(pipeline: Pipeline, parsed: argparse.Namespace) -> int:
    """Look at a whole file, propose what it says."""
    from sluice.contracts import draft, model, profile  # their imports are heavy, and only needed here
    from sluice.reading import landed_bytes

    folder = pipeline.settings.contracts_dir
    try:
        return draft.write(
            parsed.file, name=parsed.name, output=parsed.output, contracts=folder, by_arrival=parsed.arrival
        )
    except (OSError, profile.ProfileError, landed_bytes.UnreadableFileError, model.ContractError) as error:
        raise InstanceError(str(error)) from error


@command("contracts", "check every contract, and its changes since the last release")
def check_contracts(pipeline: Pipeline, parsed: argparse.Namespace) -> int:
    """Exit code 1 when one of them cannot be used, or breaks what others rely on."""
    from sluice.contracts import check  # its imports are heavy, and only needed here

    lines, is_well = check.check(pipeline.settings.contracts_dir)
    print("\n".join(lines))
    return 0 if is_well else 1
