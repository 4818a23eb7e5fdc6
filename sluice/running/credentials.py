"""Passwords and keys of one pipeline: made at random once, kept in a file that only this user may read."""

from __future__ import annotations

import base64
import json
import os
import secrets
from pathlib import Path

from sluice.ledger.roles import ROLES


def new() -> dict[str, str]:
    """One of each that a pipeline needs, made at random."""
    return {
        **{role: secrets.token_urlsafe(24) for role in ROLES},
        "web_password": secrets.token_urlsafe(12),
        "fernet_key": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "jwt_secret": secrets.token_urlsafe(48),
        "api_secret_key": secrets.token_urlsafe(32),
    }


def kept(path: Path, made: dict[str, str]) -> dict[str, str]:
    """Those in ``path``; of ``made``, what is missing there is added to it."""
    known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    if made.keys() - known.keys():
        known = made | known
        path.parent.mkdir(parents=True, exist_ok=True)
        write_private(path, json.dumps(known, indent=2) + "\n")
    return known


def write_private(path: Path, text: str) -> None:
    """Replace ``path`` at once; only this user may read it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.touch(mode=0o600)
    temporary.write_text(text)
    temporary.replace(path)
