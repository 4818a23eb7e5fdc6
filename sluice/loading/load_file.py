"""Loads one landed file: a function of (file, contracts, connection) that needs no Spark.

The crash contract. Everything a file becomes (its rows in ``events``, its rejects, its duplicates, its tally and state
in ``ledger.files``) is written in one transaction, which

1. holds the stream's row: a fenced stream cannot commit, and cannot be fenced while it commits;
2. locks the file's row: a file that is loaded already, by a task that died before it could say so or by a replayed
   micro-batch, is left as it is;
3. commits only when the bytes that were read have the size and the hash that were registered.

Dying at any line before the commit leaves nothing; dying after it leaves the file loaded but still in the processing
folder, from where the mover's tidy step takes it to the archive. Nothing here relies on Spark's checkpoint, and
nothing is guaranteed to be called after the commit.

Here it is decided what an error does to the file; sluice/loading/one_load.py is the transaction, afterwards.py what
follows it.
"""

from __future__ import annotations

import logging
from dataclasses import replace

import duckdb

from sluice.base.settings import Settings
from sluice.loading import afterwards
from sluice.loading.file_rules import FILE_RULES
from sluice.loading.landed_file import LandedFile, Tally
from sluice.loading.one_load import FileLoad
from sluice.loading.retry_rules import UNKNOWN, RetryRule, cut, line_of, rule_for
from sluice.loading.stream_writer import StreamWriter

_log = logging.getLogger(__name__)

ATTEMPTS = 8


class FileLoader:
    """Loads files one after the other over one connection, under one epoch.

    ``settings`` say where files and contracts lie and how much memory a task may take.
    """

    def __init__(self, settings: Settings, epoch: int) -> None:
        self._writer = StreamWriter(settings, epoch)

    def close(self) -> None:
        """Close the connection and the judge; what was not committed is rolled back by the server."""
        self._writer.close()

    def load(self, file_id: int) -> Tally:
        """Load the file, or set it aside, or find that this was done before; return what became of it.

        A file that must wait for another transaction stays ``landed``, for a later micro-batch: it holds up no other.

        sluice/loading/file_rules.py says what an error does: the file again at once, set aside, back, or raised from
        here.
        Raises StreamFenced when the epoch may not write any more, psycopg.Error when the database is away or
        full, OSError when the file cannot be read: then nothing was written.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                tally = self._load_once(file_id)
                self._writer.put_off.discard(file_id)
                return tally
            except BaseException as error:
                self._writer.session.disconnect()
                self._writer.months.forget()
                rule = rule_for(error, FILE_RULES)
                if rule is UNKNOWN:
                    _log.warning("file %s: %s", file_id, line_of(error))
                if rule.action == "later":
                    _log.info("file %s: %s", file_id, rule.says)
                    self._writer.put_off.add(file_id)
                    return Tally(file_id, "landed")
                if rule.action != "again" or attempt == ATTEMPTS:
                    raise
                _log.info("file %s: attempt %s: %s, trying again", file_id, attempt, rule.says)
        raise AssertionError("the last attempt raises")

    def _load_once(self, file_id: int) -> Tally:
        file = self._writer.begin(file_id)
        if file.state != "landed":
            self._writer.session.rollback()
            afterwards.put_away(self._writer, file)
            return Tally(file_id, file.state)
        try:
            tally, path = FileLoad(self._writer, file).run()
        except Exception as error:
            rule = rule_for(error, FILE_RULES)
            if rule.action == "hold":
                return afterwards.hold(self._writer, file, str(error))
            if rule.action not in ("quarantine", "return"):
                raise
            tally, path = self._set_aside(file, error, rule)
        afterwards.put_away(self._writer, replace(file, state=tally.state, path=path), was=file.path)
        return tally

    def _set_aside(self, file: LandedFile, error: Exception, rule: RetryRule) -> tuple[Tally, str]:
        contract, cause = getattr(error, "contract", None), getattr(error, "cause", "content")
        why = str(error) if rule.error_says_it else f"{rule.says} ({cut(line_of(error))})"
        tally_and_path = afterwards.set_aside(self._writer, file, why, contract, cause)
        if isinstance(error, duckdb.Error):
            self._writer.renew_judge()
        return tally_and_path
