"""Prove the trail whole, or name the first record that is not. Called by `cli` over a datastore.

What somebody can do who writes to the database and has no key, and how it is found:

- change a record, or a byte of it: its code is wrong;
- remove, repeat, insert or reorder records within a segment or move segments (within a chain, or bodies between chains
  and rows): numbers, names of chains and codes disagree;
- change the times of a segment, to hide it from queries or have it pruned: its records say otherwise;
- truncate the end of a chain: its head knows more records; edit the head too: its seal is wrong;
- let the service go on after such an edit: it checks the seal first, and seals into the chain what it found;
- remove old records: the sealed head says behind which record the chain begins, and only a key holder can move that;
- remove the head alone: there are segments without a head;
- insert records before the first of a chain, or chains of strange names: every segment is looked for, not only those
  that a head leads to;
- seal a head with a key that was replaced, or name one that is made up: a head is under the key of its last record;
- go back to an old head with its true seal and truncate the chain to it, or write it anew: checkpoints of this and
  other nodes know a later record, or another one;
- remove a chain with its head: checkpoints know it;
- go back with a chain and with every checkpoint that has listed it since, at the least with all that was written after
  a moment: this is not found inside of the database. It is found with a copy from outside (`outside`): a line with a
  checkpoint from the log, a file of records, an OTLP receiver. What is younger than the last checkpoint that somebody
  kept can be rolled back unseen, by default one minute.

Records of an earlier key can be forged by whoever has that key, down to the oldest checkpoint signed with a later one.
"""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from authz.audit.chain import CHECKPOINTS, NODE, NOTHING, SERVICE, STORE, is_sealed
from authz.audit.checkpoint import Checkpoint, UnknownSigner, read_checkpoint
from authz.audit.claims import AllClaims
from authz.audit.inspect import Inspection
from authz.audit.keys import KeyRing
from authz.audit.query import PAGE, all_heads, segments_of
from authz.store.trail import Head, Segment, SegmentPosition, TrailStore

_ATTEMPTS = 4
"""How often a chain is followed that is pruned meanwhile."""
_ODD = "a row holds values that none can have been written with"
_ODD_ERRORS = (TypeError, ValueError, AttributeError, OverflowError)
"""What reading such a row ends with: SQLite lets any column hold a value of any type."""


class Problem(NamedTuple):
    """The first wrong record of a chain; `after` is the time of the last good one before it."""

    chain: str
    sequence: int
    why: str
    after: datetime | None = None


class ChainReport(NamedTuple):
    """One chain."""

    chain: str
    records: int
    base: int
    """How many records were removed with their time."""
    problem: Problem | None
    notices: tuple[str, ...] = ()


class Report(NamedTuple):
    """The whole trail. `chains` holds those with a problem or a notice; the others are counted."""

    chains: tuple[ChainReport, ...]
    chain_count: int
    records: int
    checkpoints: int

    @property
    def first(self) -> Problem | None:
        """The problem that lies furthest back."""
        problems = [each.problem for each in self.chains if each.problem is not None]
        return min(problems, key=_distance, default=None)

    @property
    def is_whole(self) -> bool:
        """Whether nothing is wrong."""
        return self.first is None


def _distance(problem: Problem) -> tuple[bool, bool, float, str]:
    """How far back a problem lies; one of no chain comes last."""
    after = 0.0 if problem.after is None else problem.after.timestamp()
    return not problem.chain, problem.after is not None, after, problem.chain


async def verify_trail(store: TrailStore, ring: KeyRing, outside: Sequence[Checkpoint] = ()) -> Report:
    """Follow all chains of a datastore, which may go on being written to; memory does not grow with their length.

    Raises:
        Unavailable: the datastore does not answer.

    """
    claims = AllClaims()
    claims.add(outside)
    checkpoints = 0
    async for checkpoint in _checkpoints(store, ring):
        checkpoints += claims.add([checkpoint])
    tally = Tally()
    bases: dict[str, int] = {}
    async for head in all_heads(store):
        bases[head.chain] = head.base_sequence
        tally.add(await _Chain(store, ring, head, claims).report())
    for chain in sorted(set(claims.chains()) - bases.keys()):
        if _is_inside(chain) and await store.chain_head(chain) is None:
            why = f"the chain is gone; a checkpoint knows {claims.of(chain).last} records of it"
            tally.add(ChainReport(chain, 0, 0, Problem(chain, 1, why)))
    for chain, first in (await _strays(store, bases, tally)).items():
        tally.add(await _stray_report(store, ring, claims, chain, first, is_listed=chain in bases))
    return tally.report(checkpoints)


async def _stray_report(
    store: TrailStore, ring: KeyRing, claims: AllClaims, chain: str, first: int, *, is_listed: bool
) -> ChainReport:
    if is_listed:
        return ChainReport(chain, 0, 0, Problem(chain, first, "there are records before the first of the chain"))
    head = await store.chain_head(chain)
    if head is not None:  # begun since the heads were listed, or of a name that no list shows
        return await _Chain(store, ring, head, claims).report()
    return ChainReport(chain, 0, 0, Problem(chain, first, "there are records without a head"))


class Tally:
    """Sums up the reports of chains."""

    def __init__(self) -> None:
        self._kept: list[ChainReport] = []
        self._count = self._records = 0

    def add(self, report: ChainReport) -> None:
        """Count a chain; keep what is to be told of it."""
        self._count += 1
        self._records += report.records
        if report.problem is not None or report.notices:
            self._kept.append(report)

    def report(self, checkpoints: int) -> Report:
        """All of them."""
        return Report(tuple(self._kept), self._count, self._records, checkpoints)


class _Chain:
    """Follows one chain from its base to its end."""

    def __init__(self, store: TrailStore, ring: KeyRing, head: Head, claims: AllClaims) -> None:
        self._store = store
        self._ring = ring
        self._head = head
        self._claims = claims

    async def report(self) -> ChainReport:
        for _ in range(_ATTEMPTS):
            inspection, problem = await self._tried(PAGE)
            if problem is not None and problem.why == _ODD:
                inspection, problem = await self._tried(1)  # to name the first such row
            head = await self._store.chain_head(self._head.chain) or self._head
            if problem is None or head.base_sequence == self._head.base_sequence:
                break
            self._head = head  # what was missing was pruned meanwhile
        base, notices = self._head.base_sequence, tuple(inspection.notices)
        return ChainReport(self._head.chain, inspection.records, base, problem, notices)

    def _inspection(self) -> Inspection:
        head = self._head
        claims = self._claims.of(head.chain).begin()
        is_plain = isinstance(head.base_sequence, int) and isinstance(head.base_mac, bytes)
        base, mac = (head.base_sequence, head.base_mac) if is_plain else (0, b"")
        return Inspection(head.chain, base, mac or NOTHING, self._ring, claims=claims)

    async def _tried(self, page: int) -> tuple[Inspection, Problem | None]:
        inspection = self._inspection()
        try:
            return inspection, await self._follow(inspection, page)
        except _ODD_ERRORS:
            return inspection, self._problem(inspection, _ODD)

    async def _follow(self, inspection: Inspection, page: int) -> Problem | None:
        head = self._head
        # Of a chain whose records are all removed the key of the last one is not known any more.
        end = (head.base_mac, head.key_id) if head.base_sequence == head.sequence else None
        async for segment in segments_of(self._store, head.chain, after=inspection.sequence, page=page):
            if not inspection.take(segment):
                return self._problem(inspection, inspection.why)
            if segment.last == head.sequence:
                end = inspection.mac, inspection.key_id
        return self._end_problem(inspection, await self._newest(head, inspection), end)

    async def _newest(self, head: Head, inspection: Inspection) -> Head:
        if inspection.sequence <= head.sequence:
            return head
        # Written since the head was read, or not ours: a head that is read now must know it.
        return await self._store.chain_head(head.chain) or head

    def _end_problem(self, inspection: Inspection, newest: Head, last: tuple[bytes, str] | None) -> Problem | None:
        """`last` are the code and the key of the record that the head knows as the last."""
        head, end = self._head, inspection.sequence
        for each in (head, newest):
            key = self._ring.find(each.key_id)
            if key is None:
                return self._problem(
                    inspection, f"its head is sealed under the key `{each.key_id}`, which is not known"
                )
            if not is_sealed(each, key):
                return self._problem(inspection, "the seal of its head is wrong: records from here on may be missing")
        if end < head.sequence:
            return self._problem(inspection, f"records are missing: the head knows {head.sequence}")
        if end > newest.sequence:
            inspection.sequence = newest.sequence
            return self._problem(inspection, f"there are records beyond the head, which knows {newest.sequence}")
        if last is None or not hmac.compare_digest(last[0], head.mac):
            inspection.sequence = head.sequence - 1
            return self._problem(inspection, "the head knows another record here")
        if last[1] != head.key_id:
            inspection.sequence = head.sequence - 1
            why = f"the head is sealed under the key `{head.key_id}`, and this record is not: records may be missing"
            return self._problem(inspection, why)
        claimed = self._claims.of(head.chain).last
        if claimed > end:
            return self._problem(inspection, f"records are missing: a checkpoint knows {claimed}")
        return None

    def _problem(self, inspection: Inspection, why: str) -> Problem:
        return Problem(self._head.chain, inspection.sequence + 1, why, inspection.time)


async def _checkpoints(store: TrailStore, ring: KeyRing) -> AsyncIterator[Checkpoint]:
    """Every checkpoint with a good signature, whatever became of its chain."""
    async for head in all_heads(store, after=CHECKPOINTS):
        if not head.chain.startswith(CHECKPOINTS):
            return
        try:
            async for segment in segments_of(store, head.chain, after=head.base_sequence):
                for checkpoint in _read(segment, ring):
                    yield checkpoint
        except _ODD_ERRORS:
            continue  # reported with the chain


def _read(segment: Segment, ring: KeyRing) -> Iterator[Checkpoint]:
    for line in segment.body.split(b"\n"):
        try:
            checkpoint = read_checkpoint(line, ring)
        except UnknownSigner:
            continue  # its record cannot be verified either, and is reported
        if checkpoint is not None:
            yield checkpoint


async def _strays(store: TrailStore, bases: Mapping[str, int], tally: Tally) -> dict[str, int]:
    """Chains with segments that were not followed, with the first number that was seen: those that are not among
    `bases`, and those with segments up to their base, which were removed with their time."""
    found: dict[str, int] = {}
    before: SegmentPosition | None = None
    while True:
        try:
            page = await store.newest_segments(since=None, until=None, before=before, limit=PAGE)
            for segment in page:
                base = bases.get(segment.chain)
                if base is None or segment.last <= base:
                    found[segment.chain] = min(segment.first, found.get(segment.chain, segment.first))
                before = SegmentPosition(segment.ended_at, segment.chain, segment.first)
        except _ODD_ERRORS:
            # If it belongs to a chain with a head it has been named; else this is all that can be told.
            tally.add(ChainReport("", 0, 0, Problem("", 0, _ODD)))
            return found
        if len(page) < PAGE:
            return found


def _is_inside(chain: str) -> bool:
    return chain == SERVICE or chain.startswith((NODE, STORE, CHECKPOINTS))
