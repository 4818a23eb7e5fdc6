"""Folders are removed when nothing is in them any more."""

from __future__ import annotations

import errno
import os
from pathlib import Path


def remove_if_empty(folder: str | Path) -> None:
    """Remove the folder, or leave it because something is in it. Raises OSError for any other reason."""
    try:
        os.rmdir(folder)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
