"""The keys of PostgreSQL's advisory locks: what waits for one must not wait for another."""

from __future__ import annotations

import re
from collections import defaultdict

from sluice.base.settings import PROJECT

KEY = re.compile(r"\b7_?215_?482_?\d{3}\b")


def _function_around(before: str) -> str | None:
    """The function of the database that stands last in ``before``: migrations write the same one anew."""
    functions = re.findall(r"^CREATE (?:OR REPLACE )?FUNCTION ([\w.]+)", before, re.MULTILINE)
    return functions[-1] if functions else None


def test_each_key_of_an_advisory_lock_is_of_one_lock() -> None:
    found: dict[str, set[str]] = defaultdict(set)
    for folder in ("sluice", "spark_jobs", "plugins", "dags", "include/sql"):
        for path in (PROJECT / folder).rglob("*.*"):
            if path.suffix in (".py", ".sql") and path.name != "schema.sql":
                text = path.read_text()
                for key in KEY.finditer(text):
                    found[key[0].replace("_", "")].add(_function_around(text[: key.start()]) or path.name)
    assert len(found) >= 7, "the keys are no longer found where they are written"
    assert {key: sorted(files) for key, files in found.items() if len(files) > 1} == {}
