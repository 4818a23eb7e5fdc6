"""The part of a file that is in hand."""

from __future__ import annotations

from sluice.reading.lines import LINE_END
from sluice.reading.transcoding import Readable


class Buffered:
    """Reads ``stream`` in chunks into ``buffer``; ``is_last`` once nothing follows what is in it."""

    def __init__(self, stream: Readable, chunk_bytes: int) -> None:
        self._stream = stream
        self._chunk_bytes = chunk_bytes
        self.buffer = b""
        self.is_last = False

    def fill(self) -> bool:
        """Read one chunk more; whether that was still to be tried."""
        if self.is_last:
            return False
        chunk = self._stream.read(self._chunk_bytes)
        self.is_last = not chunk
        self.buffer += chunk
        return True

    def drop(self, size: int) -> None:
        """Let go of the first ``size`` bytes."""
        self.buffer = self.buffer[size:]

    def skip_line(self) -> bool:
        """Pass over everything up to and with the next line end, in constant memory; whether there was one."""
        while True:
            match = LINE_END.search(self.buffer)
            if match and (match.end() < len(self.buffer) or match.group() != b"\r" or self.is_last):
                self.drop(match.end())
                return True
            self.buffer = self.buffer[-1:] if match else b""  # a CR may be half of CRLF
            if not self.fill():
                return False
