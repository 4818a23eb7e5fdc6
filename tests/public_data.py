"""Where the public data sets lie, which are too large to lie in the repository: SLUICE_TEST_DATA names their folder.

Otherwise it is ``shared/data`` beside the checkout. Tests of a data set that is not there are passed over, and say so.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sluice.base.settings import PROJECT

PUBLIC_DATA = Path(os.environ.get("SLUICE_TEST_DATA") or PROJECT.parent / "shared" / "data")


def needs(*names: str) -> pytest.MarkDecorator:
    """Passes a test over when one of these data sets, folders of PUBLIC_DATA, is not there."""
    missing = [name for name in names if not (PUBLIC_DATA / name).exists()]
    return pytest.mark.skipif(bool(missing), reason=f"no data set {', '.join(missing)} here (SLUICE_TEST_DATA)")
