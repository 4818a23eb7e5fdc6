"""The file ``.env``, read by python-dotenv as docker compose reads it.

Where the two would differ, which is in some of what a $ can mean, the line is refused with a way to write it that means
the same to both.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, MutableMapping
from pathlib import Path

from dotenv.parser import Binding, parse_stream
from dotenv.variables import parse_variables

from sluice.base.settings import SettingError

# ${NAME} and ${NAME:-default} mean the same to both; $NAME, $$, \$ and other forms do not.
_OTHER_DOLLAR = re.compile(r"\\\$|\$(?!\{[A-Za-z_]\w*(:-[^}$]*)?\})(?=[\w{$])")


def read_env_file(path: Path, environ: MutableMapping[str, str]) -> None:
    """Add what ``path`` sets to ``environ``; what is set there already wins. No file, nothing done.

    Raises SettingError with the line's number for one that cannot be read, or that docker compose would read
    differently, and for a file that is no UTF-8; OSError for a file that cannot be read.
    """
    if not path.is_file():
        return
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SettingError(f"{path} is not in UTF-8 ({error.reason} at byte {error.start}): save it so") from None
    for number, binding in _lines(text):
        if why := _problem(binding):
            raise SettingError(f"{path} line {number}: {why}")
        # An empty variable is as good as none to ${NAME:-default}.
        known = {name: value for name, value in environ.items() if value}
        environ.setdefault(binding.key or "", _value(binding, known))


def _lines(text: str) -> Iterator[tuple[int, Binding]]:
    """What is set or cannot be read, with its line's number; a binding begins with the blank lines before it."""
    for binding in parse_stream(io.StringIO(text)):
        written = binding.original.string
        blank = written[: len(written) - len(written.lstrip())]
        if binding.key is not None or binding.error:
            yield binding.original.line + blank.count("\n"), binding


def _problem(binding: Binding) -> str:
    """Why a line is refused; empty when it is not."""
    name, _, written = binding.original.string.strip().partition("=")
    key = re.sub(r"^export\s+", "", name).strip()
    if binding.error or binding.value is None or key != binding.key or not key.isidentifier():
        return f"{binding.original.string.strip().splitlines()[0]!r} is not KEY=VALUE"
    if _is_literal(written):
        return "in single quotes, \\\\ is one backslash or two: write it in double quotes" if r"\\" in written else ""
    if different := _OTHER_DOLLAR.search(binding.value):
        return (
            f"{different.group()!r} in the value of {key} can be read in two ways: write ${{NAME}} or "
            "${NAME:-default} for another variable's value, or the whole value in single quotes for what it says"
        )
    return ""


def _value(binding: Binding, known: dict[str, str]) -> str:
    value = binding.value or ""
    if _is_literal(binding.original.string.partition("=")[2]):
        return value
    return "".join(part.resolve(known) for part in parse_variables(value))


def _is_literal(written: str) -> bool:
    return written.lstrip().startswith("'")
