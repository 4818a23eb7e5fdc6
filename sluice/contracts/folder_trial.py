"""Tries a drafted contract on every file of a feed, as each would be read and matched under it."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from sluice.contracts.draft_trial import Trial, contract_of
from sluice.contracts.folder_feeds import Feed
from sluice.contracts.folder_looks import FileLook
from sluice.contracts.judge import Judge
from sluice.contracts.matching import match
from sluice.contracts.model import Contract, HeaderError
from sluice.contracts.profile import SAMPLE_BYTES, Profile
from sluice.contracts.profiling.sniffing import whole_lines
from sluice.reading.block import Block
from sluice.reading.csv_records import RecordReader
from sluice.reading.landed_bytes import LandedBytes


@dataclass(frozen=True)
class FileTrial:
    """What becomes of one file: ``refused`` says why as a whole; otherwise some of its rows may be set aside."""

    name: str
    rows: int
    trial: Trial
    refused: str = ""


class FeedTrials:
    """Tries documents on the files of ``feed``; ``files`` are what became of each under the last one."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self.files: list[FileTrial] = []

    def __call__(self, sample: Profile, document: dict[str, Any]) -> Trial:
        """Judge the rows of all files under the contract that ``document`` is."""
        contract = contract_of(document)
        with closing(Judge()) as judge:
            self.files = [_try_on(look, contract, judge) for look in self._feed.looks]
        together = Trial(contract, 0, Counter(), [])
        for file in self.files:
            together.set_aside += file.trial.set_aside
            together.broken.update(file.trial.broken)
            together.first_rows = together.first_rows or file.trial.first_rows
        return together


def _try_on(look: FileLook, contract: Contract, judge: Judge) -> FileTrial:
    marked = look.profile.marked_encoding
    dialect = replace(contract.dialect, encoding=marked) if marked else contract.dialect
    with LandedBytes(look.path, look.name) as landed:
        data = landed.head(SAMPLE_BYTES + 1)
    data = data if len(data) <= SAMPLE_BYTES else whole_lines(data[:SAMPLE_BYTES], dialect.encoding)
    reader = RecordReader(io.BytesIO(data), dialect, contract.layout)
    header = reader.header()
    names = contract.own_header if header is not None and not contract.layout.names_columns else header
    trial = Trial(contract, 0, Counter(), [])
    try:
        found = match([(contract, names)])
    except HeaderError as error:
        trial.set_aside = look.profile.records
        return FileTrial(look.name, look.profile.records, trial, str(error))
    trial.judge(judge, _counted(reader.blocks(len(found.header)), trial), found)
    return FileTrial(look.name, look.profile.records, trial)


def _counted(blocks: Iterator[Block], trial: Trial) -> Iterator[Block]:
    """The blocks; records that cannot be read are set aside."""
    for block in blocks:
        trial.set_aside += len(block.broken)
        if block.broken and not trial.first_bad:
            trial.first_bad = (block.broken[0].line_number, block.broken[0].rule)
        yield block
