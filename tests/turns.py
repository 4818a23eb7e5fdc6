"""Which tests take turns: each starts a JVM, or all of Airflow, and would slow the others down until they time out.

pytest-xdist has marks for that, which pytest 9.2 no longer lets reach it: the suffix that it adds to an id is lost.
"""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

TURNS = {
    "tests/integration/test_stream.py": "spark",
    "tests/integration/test_outage.py": "spark",
    "tests/crash/test_stream_crash_points.py": "spark",
    "tests/e2e/test_make_up.py": "pipeline",
}


class InTurns(LoadScopeScheduling):
    """Tests of one turn run in one process, one after the other, and begin first; all others wherever there is room."""

    def _split_scope(self, nodeid: str) -> str:
        return TURNS.get(nodeid.partition("::")[0], nodeid)
