"""About how many bytes an index takes. Asked by `index.residency`, which shares out the budget by it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from itertools import islice
from statistics import fmean
from typing import Final

from authz.index.memory import TupleIndex
from authz.index.rows import Row

INDEX_BYTES: Final = 32_768
"""What an index costs before its first tuple, with what the engine binds to it."""
TUPLE_BYTES: Final = 150
"""What a tuple costs where nothing is known of it yet: names of usual length, three tuples an object."""
_NAME_BYTES = 140
"""What a name costs beside its characters: string, number, and their places in dict and list."""
_SAMPLE = 500


def resident_bytes(index: TupleIndex) -> int:
    """The bytes of a whole index: tables as they are, what they refer to by a sample."""
    names = index.names()
    size = INDEX_BYTES + len(names) * (_NAME_BYTES + _mean(map(len, names.sample(_SAMPLE))))
    for rows in index.tables():
        size += sys.getsizeof(rows) + len(rows) * _mean(map(_row_bytes, islice(rows.values(), _SAMPLE)))
    return int(size)


def _row_bytes(row: Row) -> int:
    if isinstance(row, set | list):
        return sys.getsizeof(row) + 16
    if isinstance(row, dict):
        return sys.getsizeof(row) + 16 + sum(map(sys.getsizeof, row.values()))
    return 0


def _mean(sizes: Iterable[int]) -> float:
    found = list(sizes)
    return fmean(found) if found else 0.0
