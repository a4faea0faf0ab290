"""The sink `file`: JSON lines in one chain over files that are rotated by size and time. Built by `trail`.

Beside `NAME` stand the full files `NAME.CHAIN.FIRST`, the head file `NAME.head`, and `NAME.lock`, which one process
holds. Each file holds records of one chain. Files are readable by their owner alone.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import structlog
from ulid import ULID

from authz.audit.chain import FILE, Payload, extend
from authz.audit.keys import Keys
from authz.audit.payloads import note_payload
from authz.audit.sinks.heads import UnprovenHeads, head_path, load_heads, save_heads
from authz.audit.sinks.lines import first_line, number_of
from authz.audit.sinks.recovery import Recovered, recover, torn_digest
from authz.audit.sinks.retired import full_files, retire
from authz.audit.sinks.sink import SinkProblem
from authz.clock import Clock
from authz.store.trail import Head

_log = structlog.get_logger(__name__)


class FileRules(NamedTuple):
    """Where to write, when to begin the next file, which full ones to keep; `max_age` zero keeps them by number."""

    path: Path
    max_bytes: int
    max_time: timedelta
    keep: int
    max_age: timedelta = timedelta()
    is_synced: bool = True


class FileSink:
    """See `Sink`.

    Raises:
        SinkProblem: another process writes this file.
        OSError: the file cannot be opened or read.

    """

    name = "file"

    def __init__(self, rules: FileRules, keys: Keys, clock: Clock) -> None:
        self._rules = rules
        self._path = rules.path
        self._keys = keys
        self._clock = clock
        self._lock = _locked(rules.path)
        self._heads: list[Head] = []
        self._chain = self._new_chain()
        self.outside: Head | None = None
        self._descriptor = -1
        self._size = 0
        self._begun_at: datetime | None = None
        self._is_dirty = False
        """Whether bytes of a failed write may stand behind the last record."""
        self._open()

    async def write(self, payloads: Sequence[Payload]) -> None:
        """See `Sink`."""
        await asyncio.to_thread(self._write, payloads)

    async def close(self) -> None:
        """See `Sink`."""
        for descriptor in (self._descriptor, self._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._descriptor = self._lock = -1

    def _open(self) -> None:
        ring = self._keys.ring
        why = ""
        try:
            self._heads = load_heads(self._path, ring)
        except UnprovenHeads as error:
            why = str(error) if head_path(self._path).exists() or full_files(self._path) else ""
        newest = self._heads[-1] if self._heads else None
        before = full_files(self._path, newest.chain if newest else "")
        found = recover(self._path, newest, before[-1] if before else None, ring)
        broken = why or found.broken
        if newest is not None and not broken:
            self._chain, self.outside = newest.chain, found.head
        self._enter(found, is_new_file=bool(broken) and found.size > 0)
        notes = self._notes(broken, found, newest)
        if notes:
            self._write(notes)

    def _enter(self, found: Recovered, *, is_new_file: bool) -> None:
        """Open the file behind its last whole line; put aside what cannot be continued."""
        self._descriptor = _opened(self._path)
        os.ftruncate(self._descriptor, found.size)
        self._size, self._begun_at = found.size, found.begun_at
        if is_new_file:
            self._next_file()

    def _notes(self, broken: str, found: Recovered, newest: Head | None) -> list[Payload]:
        now, notes = self._clock.now(), []
        if broken:
            _log.error("audit_file_tampered", file=str(self._path), why=broken)
            at, of = (0, "") if newest is None else (newest.sequence, newest.chain)
            notes.append(note_payload("broken", now, why=broken, of=of, sequence=at))
        if found.torn:
            _log.warning("audit_file_torn", file=str(self._path), bytes=len(found.torn))
            notes.append(note_payload("torn", now, bytes=len(found.torn), sha256=torn_digest(found.torn)))
        return notes

    def _write(self, payloads: Sequence[Payload]) -> None:
        ring = self._keys.ring
        segment, head = extend(self._chain, self.outside, payloads, ring)
        if self._is_dirty:
            self._undo()
        if self._size and self._is_due(len(segment.body)):
            self._next_file()
            self._retire()
            segment, head = extend(self._chain, self.outside, payloads, ring)  # whose base may have moved
        heads = [*(each for each in self._heads if each.chain != self._chain), head]
        try:
            _write_all(self._descriptor, segment.body)
            if self._rules.is_synced:
                os.fsync(self._descriptor)
            save_heads(self._path, heads, ring, is_synced=self._rules.is_synced)
        except OSError:
            with suppress(OSError):
                self._undo()
            raise
        self._heads, self.outside = heads, heads[-1]
        self._size += len(segment.body)
        self._begun_at = self._begun_at or segment.started_at

    def _undo(self) -> None:
        self._is_dirty = True
        os.ftruncate(self._descriptor, self._size)
        self._is_dirty = False

    def _is_due(self, more: int) -> bool:
        began = self._begun_at
        is_old = began is not None and self._clock.now() - began >= self._rules.max_time
        return is_old or self._size + more > self._rules.max_bytes

    def _next_file(self) -> None:
        place = number_of(first_line(self._path))
        chain, sequence = ("unknown", 0) if place is None else (place.chain, place.sequence)
        target = self._path.with_name(f"{self._path.name}.{chain.removeprefix(FILE)}.{sequence:012}")
        if target.exists():
            target = target.with_name(f"{target.name}.{ULID.from_datetime(self._clock.now())}")
        self._path.rename(target)
        try:
            opened = _opened(self._path)
        except OSError:
            target.rename(self._path)  # and tried again: until then this stays the file that is written
            raise
        # INVARIANT: the number of a closed descriptor is never kept: what is opened next would be written to.
        os.close(self._descriptor)
        self._descriptor = opened
        self._size, self._begun_at = 0, None

    def _retire(self) -> None:
        """Remove full files beyond what is kept; the heads say first that they may be missing."""
        rules, ring = self._rules, self._keys.ring
        now = self._clock.now()
        heads, doomed = retire(self._path, self._heads, ring, keep=rules.keep, max_age=rules.max_age, now=now)
        if not doomed:
            return
        save_heads(self._path, heads, ring, is_synced=rules.is_synced)
        self._heads = heads
        self.outside = next((head for head in heads if head.chain == self._chain), self.outside)
        for path in doomed:
            path.unlink(missing_ok=True)
        _log.info("audit_files_removed", count=len(doomed))

    def _new_chain(self) -> str:
        return f"{FILE}{ULID.from_datetime(self._clock.now())}"


def _locked(path: Path) -> int:
    descriptor = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise SinkProblem(f"another process writes the audit file `{path}`") from None
    return descriptor


def _opened(path: Path) -> int:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.fchmod(descriptor, 0o600)
    return descriptor


def _write_all(descriptor: int, body: bytes) -> None:
    rest = memoryview(body)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
