"""Rows that are older than the months that are kept: rejected, or a late copy would count a second time."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.contracts.judge import Judgement
from sluice.reading.block import Block

RULE = "event_time.expired"


@dataclass
class ExpiredRows:
    """Those of one file. ``before``: in microseconds since 1970, None when all is kept. ``count``: how many."""

    before: int | None
    count: int = 0

    def set_aside(self, block: Block, judged: Judgement) -> Judgement:
        """The judgement, with the good rows that have expired among the bad."""
        if self.before is None or not judged.good.num_rows:
            return judged
        moments = judged.good["event_time"].cast(pa.timestamp("us", "UTC")).cast(pa.int64())
        expired = pc.less(moments, self.before)
        if not pc.any(expired).as_py():
            return judged
        numbers = judged.good.filter(expired)["record_number"].to_numpy()
        rows = np.flatnonzero(np.isin(block.record_numbers, numbers))
        self.count += len(rows)
        bad = judged.bad + [(int(row), [RULE], "rule") for row in rows]
        return replace(judged, good=judged.good.filter(pc.invert(expired)), bad=bad)
