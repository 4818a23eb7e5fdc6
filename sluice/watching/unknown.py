"""What is asked for by name or number and is not there."""

from __future__ import annotations


class UnknownError(LookupError):
    """The ledger knows none of this; ``code`` says of what, the message says it to people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
