"""One thing that is as it should be, or is not: a feed, the stream, the disk, the proof."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

FINE = "fine"


@dataclass(frozen=True)
class Condition:
    """What is true of one subject at one moment.

    ``kind`` is what is looked at ("feed", "stream", "backlog", "proof", "disk", "contract"), ``name`` which one of that
    kind (a feed's name; the kind again where there is one only), ``state`` one word of it (FINE when nothing is
    wrong), ``since`` the moment from which it holds, where that is known, ``numbers`` what it was judged by, as JSON
    takes it.
    """

    kind: str
    name: str
    state: str
    since: datetime | None = None
    numbers: dict[str, Any] = field(default_factory=dict)
