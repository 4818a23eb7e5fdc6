"""A process that makes way for all others."""

from __future__ import annotations

import os
import resource


def be_gentle(data_bytes_max: int) -> None:
    """Let this process make way for all others, and fail rather than allocate more than ``data_bytes_max``."""
    os.nice(10)
    resource.setrlimit(resource.RLIMIT_DATA, (data_bytes_max, data_bytes_max))
