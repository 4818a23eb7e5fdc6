"""Which release this is."""

from __future__ import annotations

import functools
import tomllib

from sluice.base.settings import PROJECT


@functools.cache
def version() -> str:
    """The version as pyproject.toml has it, the only place where it stands; "unknown" where that file is not."""
    try:
        return str(tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"])
    except (OSError, KeyError, tomllib.TOMLDecodeError):
        return "unknown"
