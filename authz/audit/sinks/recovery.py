"""Find out at the start where a file of records really ends. Used by the sink `file`.

After a crash the file may be ahead of its head file, and its last line may be torn. A file that is behind its head, or
holds what was not sealed, has been tampered with (or the disk lost what it had confirmed).
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from authz.audit.chain import NOTHING, sealed, split
from authz.audit.keys import KeyRing
from authz.audit.sinks.lines import FileLine, last_line, number_of, read_lines
from authz.store.trail import Head


class Recovered(NamedTuple):
    """Where the file ends."""

    head: Head | None
    """The end of its chain; None to begin a new one."""
    size: int
    """How many bytes of it are whole lines."""
    begun_at: datetime | None
    """The time of its first record."""
    torn: bytes
    """What stood behind the last whole line."""
    broken: str
    """Why the chain cannot be continued; empty when it can, or when there is none."""


def recover(path: Path, head: Head | None, newest_full: Path | None, ring: KeyRing) -> Recovered:
    """Where the file at `path` ends, of whose chain the head file knows `head`.

    Args:
        newest_full: the file before it in the same chain, if there is one.

    Raises:
        OSError: a file cannot be read.

    """
    end = _End(head, ring)
    if path.exists():
        for line in read_lines(path):
            end.take(line)
    if head is None:
        return Recovered(None, end.size, end.begun_at, end.torn, "there are records without a head" if end.size else "")
    if not end.broken and not end.is_met and not _ends_at(newest_full, head):
        end.broken = f"the file ends before record {head.sequence}, which its head knows"
    return Recovered(end.head, end.size, end.begun_at, end.torn, end.broken)


class _End:
    """The end of the chain, line by line."""

    def __init__(self, head: Head | None, ring: KeyRing) -> None:
        self.head = head
        self._ring = ring
        self.size = 0
        self.begun_at: datetime | None = None
        self.torn = b""
        self.broken = ""
        self.is_met = False
        """Whether the file holds the record that the head knows as the last, or begins right behind it."""

    def take(self, line: FileLine) -> None:
        """Look at the next line."""
        if line.is_torn:
            self.torn = line.line
            return
        self.size = line.offset + len(line.line) + 1
        if self.broken or self.head is None:
            return
        place, parts = number_of(line.line), split(line.line)
        if place is None or parts is None or place.chain != self.head.chain:
            self.broken = "the file holds a line that is no record of its chain"
            return
        if self.begun_at is None:
            self.begun_at = _time(place.time)
        if place.sequence == self.head.sequence and not self.is_met:
            self.is_met = hmac.compare_digest(parts.mac, self.head.mac)
        elif place.sequence == self.head.sequence + 1:
            self._extend(place.key_id, parts.content, parts.mac)

    def _extend(self, key_id: str, content: bytes, mac: bytes) -> None:
        key = self._ring.find(key_id)
        assert self.head is not None
        if key is None or not hmac.compare_digest(key.record((self.head.mac or NOTHING) + content), mac):
            self.broken = f"record {self.head.sequence + 1} is not sealed by a known key"
            return
        self.is_met = True
        self.head = sealed(self.head._replace(sequence=self.head.sequence + 1, mac=mac), key)


def torn_digest(torn: bytes) -> str:
    """What is kept of a torn line."""
    return hashlib.sha256(torn).hexdigest()


def _ends_at(path: Path | None, head: Head) -> bool:
    parts = None if path is None else split(last_line(path))
    return parts is not None and hmac.compare_digest(parts.mac, head.mac)


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
