"""The keys of PostgreSQL's advisory locks: what waits for one must not wait for another."""

from __future__ import annotations

import re
from collections import defaultdict

from sluice.base.settings import PROJECT

KEY = re.compile(r"\b7_?215_?482_?\d{3}\b")


def test_each_key_of_an_advisory_lock_is_of_one_lock() -> None:
    found: dict[str, set[str]] = defaultdict(set)
    for folder in ("sluice", "spark_jobs", "plugins", "dags", "include/sql"):
        for path in (PROJECT / folder).rglob("*.*"):
            # Migrations write a function anew; the schema, which is their sum, has each once.
            if path.suffix in (".py", ".sql") and path.parent.name != "migrations":
                for number, part in enumerate(path.read_text().split("CREATE OR REPLACE FUNCTION")):
                    for key in KEY.findall(part):
                        found[key.replace("_", "")].add(f"{path.name} {number}")
    assert len(found) >= 7, "the keys are no longer found where they are written"
    assert {key: sorted(files) for key, files in found.items() if len(files) > 1} == {}
