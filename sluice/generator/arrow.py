"""Arrow arrays and scalars made from buffers.

``pyarrow.array`` and ``pyarrow.scalar`` import pandas to see whether they were given some: 0.8 s in every short
process that writes a batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from sluice.generator.types import Flags, Ints


def texts(values: Sequence[bytes]) -> pa.Array:
    """Binary strings."""
    return joined_texts(b"".join(values), np.array([len(value) for value in values], dtype=np.int64))


def text(value: bytes) -> pa.Scalar:
    """One binary string."""
    return texts([value])[0]


def joined_texts(content: bytes | np.ndarray, lengths: Ints) -> pa.Array:
    """Binary strings that stand one behind the other in ``content``."""
    offsets = np.zeros(len(lengths) + 1, dtype=np.int32)
    np.cumsum(lengths, out=offsets[1:])
    return pa.Array.from_buffers(pa.binary(), len(lengths), [None, pa.py_buffer(offsets), pa.py_buffer(content)])


def numbers(values: Ints) -> pa.Array:
    """Whole numbers; a negative one is null, so that it picks nothing."""
    values = np.ascontiguousarray(values, dtype=np.int64)
    there = _bits(values >= 0)
    return pa.Array.from_buffers(pa.int64(), len(values), [there, pa.py_buffer(values)])


def flags(values: Flags) -> pa.Array:
    """Truth values."""
    return pa.Array.from_buffers(pa.bool_(), len(values), [None, _bits(values)])


def _bits(values: Flags) -> pa.Buffer:
    return pa.py_buffer(np.packbits(values, bitorder="little"))
