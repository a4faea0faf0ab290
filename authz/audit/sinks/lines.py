"""Read files of records line by line, however long. Used by the sink `file` and by its verification."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import orjson

MAX_LINE = 16 * 1024 * 1024
"""No record is nearly as long; a longer line is given in pieces, none of which is a record."""
_TAIL = 1024 * 1024


class FileLine(NamedTuple):
    """A line without its end, and where it begins. `is_torn`: the file ends before the line does."""

    offset: int
    line: bytes
    is_torn: bool


class Numbered(NamedTuple):
    """What a line says of its place."""

    chain: str
    sequence: int
    key_id: str
    time: str


def read_lines(path: Path) -> Iterator[FileLine]:
    """The lines of a file.

    Raises:
        OSError: it cannot be read.

    """
    offset = 0
    with path.open("rb") as file:
        while raw := file.readline(MAX_LINE):
            is_whole = raw.endswith(b"\n")
            yield FileLine(offset, raw[:-1] if is_whole else raw, not is_whole)
            offset += len(raw)


def number_of(line: bytes) -> Numbered | None:
    """The place of a record; None for what is none."""
    try:
        record = orjson.loads(line)
        return Numbered(str(record["chain"]), int(record["seq"]), str(record["key"]), str(record["time"]))
    except (ValueError, TypeError, KeyError):
        return None


def first_line(path: Path) -> bytes:
    """The first line of a file; empty when there is none."""
    return next((each.line for each in read_lines(path)), b"")


def last_line(path: Path) -> bytes:
    """The last whole line of a file; empty when there is none or it is too long."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(size - _TAIL, 0))
        *whole, _ = file.read().split(b"\n")
    return whole[-1] if whole else b""
