"""The control arm: the same faults against a loader that breaks the promise, which the recount must then call broken.

It runs a copy of the project, so that nothing in the project itself can switch this on.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from sluice.base.settings import PROJECT

# Faults that end a load in the middle, whichever session or process it is in.
FAULTS = ("python worker killed", "database session ended", "driver killed")
_PARTS = ("dags", "include", "plugins", "sluice", "spark_jobs")
_SWITCH = "\n\nfrom sluice.loading import two_transactions  # noqa: E402, F401\n"


def project_with_two_transactions(folder: Path) -> Path:
    """A copy of the project in ``folder`` whose loader commits the ledger and the rows one after the other."""
    for part in _PARTS:
        shutil.copytree(PROJECT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(
        Path(__file__).with_name("two_transactions.py"), folder / "sluice" / "loading" / "two_transactions.py"
    )
    with (folder / "sluice" / "loading" / "load_file.py").open("a", encoding="utf-8") as loader:
        loader.write(_SWITCH)
    return folder
