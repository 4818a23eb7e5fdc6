"""Against what ledger.report_changes says: the days of which events really changed, by comparing all of them."""

from __future__ import annotations

from tests.loading import Connection

Days = set[tuple[str, str]]

# By feed and day (UTC): all that reports can count, so not which file has the row.
_CONTENT = """
    SELECT
        coalesce(contract, 'unknown') AS feed,
        (event_time AT TIME ZONE 'UTC')::date::text AS day,
        md5(string_agg(content, ',' ORDER BY content)) AS digest
    FROM (
        SELECT event_time, file_id, (to_jsonb(events) - 'file_id' - 'record_number')::text AS content FROM public.events
    ) AS present
    LEFT JOIN ledger.files USING (file_id)
    GROUP BY 1, 2
"""
_NOTED = """
    SELECT feed, day::text FROM ledger.report_changes WHERE file_id IS NULL
    UNION
    SELECT contract, (event_time AT TIME ZONE 'UTC')::date::text
    FROM ledger.report_changes AS change
    JOIN ledger.files USING (file_id)
    CROSS JOIN LATERAL ledger.rows_of(change.file_id) AS present
"""
# Each transaction that brings rows is seen in them, and one that takes some in the audit.
_OF_OTHER_TRANSACTIONS = """
    SELECT change_id FROM ledger.report_changes
    WHERE xmin::text NOT IN (
        SELECT xmin::text FROM public.events
        UNION SELECT xmin::text FROM ledger.files
        UNION SELECT xmin::text FROM ledger.audit
    )
"""


class ChangedDays:
    """The days (feed, day in UTC) of which events change from one look to the next."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._content = self._read()
        counted(connection)

    def look(self, *, whoever: bool = False) -> Days:
        """The days that are noted, and not any more: a refresh has counted them. All that changed are among them.

        They were noted by transactions of which rows or the audit tell, unless ``whoever`` may have done it.
        """
        before, self._content = self._content, self._read()
        changed = {day for day in before | self._content if before.get(day) != self._content.get(day)}
        noted = {(row["feed"], row["day"]) for row in self._connection.execute(_NOTED)}
        assert changed <= noted, f"changed, and not noted: {changed - noted}"
        assert whoever or self._connection.execute(_OF_OTHER_TRANSACTIONS).fetchall() == []
        counted(self._connection)
        return noted

    def _read(self) -> dict[tuple[str, str], str]:
        return {(row["feed"], row["day"]): row["digest"] for row in self._connection.execute(_CONTENT)}


def counted(connection: Connection) -> None:
    """As a refresh of the reports leaves it: all changes are counted."""
    connection.execute("DELETE FROM ledger.report_changes")
