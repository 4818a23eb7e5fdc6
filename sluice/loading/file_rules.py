"""What an error means for the one file that was being loaded: these rules first, then those of retry_rules.py.

They stand apart because they name classes of libraries that only a task imports.
"""

from __future__ import annotations

import duckdb
import pyarrow as pa

from sluice.contracts.judge import BlockTooLargeError
from sluice.contracts.model import ContractError
from sluice.loading.errors import FileChangedError, FileRejectedError
from sluice.loading.retry_rules import DATABASE, RULES, RetryRule, When
from sluice.reading.landed_bytes import UnreadableFileError

FILE_RULES = (
    RetryRule(
        (When((FileRejectedError, UnreadableFileError, BlockTooLargeError)),),
        "quarantine",
        "the file is wrong: its error in ledger.files says what to correct before it is landed again",
        "the same bytes fail in the same way each time, and one bad file must not stop the others",
        error_says_it=True,
    ),
    RetryRule(
        (When((FileChangedError,)),),
        "return",
        "the file changed after it was registered: it is taken again when it is complete",
        "a producer went on writing; what it means to deliver is not known before it is done",
        error_says_it=True,
    ),
    RetryRule(
        (When((ContractError,)),),
        "hold",
        "a contract cannot be used: correct it under include/contracts; the files that wait for it are loaded by then",
        "which contract a file has is not known before all can be read; the other feeds need not wait for that",
        error_says_it=True,
    ),
    RetryRule(
        (
            When(DATABASE, codes=("21", "22", "23", "54", "P0"), but_codes=("23505",)),
            # What inherits from them says something else: a wrong setting is a ValueError too.
            When(
                (ValueError, TypeError, KeyError, IndexError, AssertionError, OverflowError, RecursionError),
                only_these=True,
            ),
            When((UnicodeError,)),
            When((pa.ArrowException,), but_not=(pa.ArrowMemoryError, pa.ArrowCancelled)),
            When(
                (duckdb.Error,),
                but_not=(
                    duckdb.IOException,
                    duckdb.ConnectionException,
                    duckdb.PermissionException,
                    duckdb.InterruptException,
                    duckdb.OutOfMemoryException,
                ),
            ),
        ),
        "quarantine",
        "the file cannot be loaded though no contract forbids it: report the defect, land the file again later",
        "what is made of a file's values would fail in the same way each time, and one file must not stop the others",
    ),
    *RULES,
)
