"""Commands about contracts: what a feed's files should look like."""

from __future__ import annotations

import argparse
from pathlib import Path

from sluice.base.gentle import be_gentle
from sluice.cli.command import argument, command
from sluice.landing.predicate import Look, look_unopened
from sluice.running.pipeline import InstanceError, Pipeline

# What a gentle draft may allocate: it looks at 16 MiB of a file, and touches some 500 MB for that.
_DATA_BYTES_MAX = 3 << 28


@command(
    "contract",
    "draft a contract from a CSV file or a folder of them; exit code 3 when a person must complete it",
    argument("file", type=Path, help="the file; of a folder one contract is drafted for each feed in it"),
    argument("--name", help="the feed's name (default: from the file's); of several in a folder, only this one"),
    argument("--arrival", action="store_true", help="an event's time is when its file landed: landed_at()"),
    argument("--output", "-o", type=Path, help="write it to this file or folder (default: print it)"),
    argument("--gently", action="store_true", help="niced, and within 768 MB, beside other work"),
)
def contract(pipeline: Pipeline, parsed: argparse.Namespace) -> int:
    """Look at a whole file, propose what it says."""
    from sluice.contracts import draft, draft_folder, model, profile  # their imports are heavy, and only needed here
    from sluice.reading import landed_bytes

    if parsed.gently:
        be_gentle(_DATA_BYTES_MAX)
    options = {"name": parsed.name, "output": parsed.output, "by_arrival": parsed.arrival}
    options["contracts"] = pipeline.settings.contracts_dir
    try:
        if not parsed.file.is_dir():
            return draft.write(parsed.file, **options)
        taken, passed_over = _files_of(parsed.file)
        return draft_folder.write_folder(parsed.file, taken, passed_over, **options)
    except (OSError, profile.ProfileError, landed_bytes.UnreadableFileError, model.ContractError) as error:
        raise InstanceError(str(error)) from error
    except MemoryError as error:
        raise InstanceError(f"{parsed.file} cannot be drafted from within the memory that it may take") from error


def _files_of(folder: Path) -> tuple[list[Path], list[str]]:
    """The files of the folder that incoming would take, and what else is in it."""
    taken, passed_over = [], []
    for path in folder.iterdir():
        found = look_unopened(path)
        if not isinstance(found, Look):
            taken.append(path)
        elif not path.name.startswith("."):
            passed_over.append(f"{path}: {found.reason}")
    return taken, sorted(passed_over)


@command("contracts", "check every contract, and its changes since the last release")
def check_contracts(pipeline: Pipeline, parsed: argparse.Namespace) -> int:
    """Exit code 1 when one of them cannot be used, or breaks what others rely on."""
    from sluice.contracts import check  # its imports are heavy, and only needed here

    lines, is_well = check.check(pipeline.settings.contracts_dir, pipeline.settings.shop_feed_names)
    print("\n".join(lines))
    return 0 if is_well else 1
