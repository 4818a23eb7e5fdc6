"""The records at the end of a file that are no data: totals and the like."""

from __future__ import annotations

from sluice.reading.dialect import Dialect
from sluice.reading.landed_bytes import UnreadableFileError
from sluice.reading.layout import Layout
from sluice.reading.stretch import Stretch
from sluice.reading.transcoding import shown

# A footer is kept in hand until the file ends or a record follows.
_FOOTER_BYTES_MAX = 16 << 20


class Footer:
    """Holds back the records at the end of what was read that may be the file's footer."""

    def __init__(self, layout: Layout, dialect: Dialect, record_bytes_max: int) -> None:
        self._begins = layout.footer_begins
        self._dialect = dialect
        self._record_bytes_max = record_bytes_max

    def held_back(self, buffer: bytes, stretches: list[Stretch], consumed: int) -> tuple[list[Stretch], int, int]:
        """``stretches``, which take the first ``consumed`` bytes of ``buffer``, without the last that may be a footer.

        Also how many bytes they take then, and how many records are held back. Raises UnreadableFileError when these
        are more than can be kept.
        """
        if self._begins is None or self._a_long_record_follows(buffer, consumed):
            return stretches, consumed, 0
        kept, held = [*stretches], 0
        while kept:
            last = kept.pop()
            first, records = self._first_of_footer(buffer, last)
            held += records
            if first:
                kept.append(last.first(first))
                break
        end = int(kept[-1].nexts[-1]) if kept else 0
        if held and len(buffer) - end > _FOOTER_BYTES_MAX + self._record_bytes_max:
            raise UnreadableFileError(
                f"more than {_FOOTER_BYTES_MAX >> 20} MiB of records begin as the contract's csv.footer says: "
                "write a footer that only totals begin with"
            )
        return (kept, end, held) if held else (stretches, consumed, 0)

    def _a_long_record_follows(self, buffer: bytes, consumed: int) -> bool:
        # One byte more may be half of the line end of a record that is just short enough.
        is_long = len(buffer) - consumed > self._record_bytes_max + 1
        return is_long and not buffer.startswith(self._dialect.comment_bytes or b"\n", consumed)

    def _first_of_footer(self, buffer: bytes, stretch: Stretch) -> tuple[int, int]:
        """From which one on the last of ``stretch`` may be a footer, and how many records these are."""
        assert self._begins is not None
        records, is_record = 0, stretch.is_record
        for i in reversed(range(len(stretch))):
            if not is_record[i]:
                continue
            start, end = int(stretch.starts[i]), int(stretch.ends[i])
            is_whole = stretch.problem != "record.too_long" and end - start <= self._record_bytes_max
            if not is_whole or not self._begins.match(shown(buffer[start:end], self._dialect)):
                return i + 1, records
            records += 1
        return 0, records
