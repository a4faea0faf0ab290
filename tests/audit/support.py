"""Clocks, keys, calls, and a trail over a datastore, for the tests of the audit trail."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from authz.audit.keys import FixedKeys, Key, KeyRing, Keys
from authz.audit.query import all_heads, segments_of
from authz.audit.trail import AuditTrail, open_sealing
from authz.call import Authentication, Call, Completed, Origin, Principal, Scope
from authz.errors import Unavailable
from authz.settings.audit import AuditSettings
from authz.store.sql import SqlDatastore, open_datastore
from authz.store.trail import Entry, Head, Segment, SegmentPosition, TrailStore
from authz.tuples import TupleKey

START = datetime(2026, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)
STORE = "01J9ZZZZZZZZZZZZZZZZZZZZZZ"
CHECK = "/openfga.v1.OpenFGAService/Check"
ALICE = Principal("idp/alice", Authentication.TOKEN)


def key(id_: str = "k1") -> Key:
    """The key of an id."""
    return Key(id_, id_.encode().ljust(32, b"!"))


def key_line(id_: str) -> str:
    """That key as a line of a key file."""
    return f"{id_}:{id_.encode().ljust(32, b'!').hex()}\n"


def ring(*ids: str) -> KeyRing:
    """A ring of keys, the first active."""
    return KeyRing([key(id_) for id_ in ids or ("k1",)])


def keys(*ids: str) -> FixedKeys:
    """The source of that ring; its `ring` may be set anew."""
    return FixedKeys(ring(*ids))


class Clock:
    """A clock that is moved by hand, and ticks a microsecond at each look."""

    def __init__(self, now: datetime = START) -> None:
        self.wall = now
        self.seconds = 1000.0

    def now(self) -> datetime:
        """See `authz.clock.Clock`."""
        self.wall += timedelta(microseconds=1)
        return self.wall

    def monotonic(self) -> float:
        """See `authz.clock.Clock`."""
        self.seconds += 1e-6
        return self.seconds

    def move(self, seconds: float) -> None:
        """Let time pass."""
        self.wall += timedelta(seconds=seconds)
        self.seconds += seconds


def completed(
    number: int = 1, *, time: datetime = START, code: str = "OK", allowed: bool | None = True, **more: Any
) -> Completed:
    """A check that has ended."""
    call = Call(
        request_id=f"request-{number}",
        principal=more.pop("principal", ALICE),
        trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
        peer=more.pop("peer", "10.0.0.1"),
        method=more.pop("method", CHECK),
    )
    given: dict[str, Any] = {
        "reason": "",
        "store_id": STORE,
        "model_id": "01J9ZZZZZZZZZZZZZZZZZZZZZM",
        "keys": (TupleKey(f"document:{number}", "viewer", "user:anne"),),
        "decisions": (allowed,) if code == "OK" else (),
        "revision": 7,
        "request_bytes": 100,
        "response_bytes": 2,
        "user_agent": "test/1",
    }
    return Completed(call, Scope.CHECK, time, 0.000512, code, **(given | more))


def entry(number: int = 1, *, time: datetime = START, store_id: str = STORE, **more: Any) -> Entry:
    """A change."""
    tuple_: Any = {"object": f"document:{number}", "relation": "viewer", "user": "user:anne"}
    given: dict[str, Any] = {"before": None, "after": [tuple_], "revision": number, "action": "tuples.write"}
    given |= more
    by = Origin("idp/alice", "token", f"request-{number}", "trace", "10.0.0.1", "/openfga.v1.OpenFGAService/Write")
    return Entry(by=by, time=time, store_id=store_id, **given)


async def lines(store: TrailStore, prefix: str = "") -> list[bytes]:
    """The lines of all chains whose names begin so."""
    found: list[bytes] = []
    async for head in all_heads(store):
        if head.chain.startswith(prefix):
            async for segment in segments_of(store, head.chain, after=0):
                found += segment.body.splitlines()
    return found


async def records(store: TrailStore, prefix: str = "") -> list[dict[str, Any]]:
    """The records of these chains."""
    return [orjson.loads(line) for line in await lines(store, prefix)]


def settings(**given: Any) -> AuditSettings:
    """Settings that flush quickly and make no checkpoints by themselves."""
    return AuditSettings(**({"flush_interval": 0.01, "checkpoint_interval": 3600.0} | given))


@asynccontextmanager
async def trailing(
    store: TrailStore, clock: Any, *, source: Keys | None = None, **given: Any
) -> AsyncIterator[AuditTrail]:
    """A trail that runs, over a datastore."""
    chosen = settings(**given)
    trail = AuditTrail(chosen, open_sealing(chosen, source or keys()), store, clock)
    await trail.start()
    try:
        yield trail
    finally:
        await trail.close()


@asynccontextmanager
async def opened(uri: str, source: Keys | None = None, **given: Any) -> AsyncIterator[SqlDatastore]:
    """A datastore whose changes are sealed."""
    store = open_datastore(uri, open_sealing(settings(**given), source or keys()).scribe)
    try:
        yield store
    finally:
        await store.close()


class Flaky:
    """A trail store in front of another that can be made to fail, as one whose disk is full or whose server is gone."""

    def __init__(self, inner: TrailStore) -> None:
        self._inner = inner
        self.is_down = False
        self.is_deaf = False
        """Carries out what it is asked for, and breaks the connection before it answers."""
        self.appended = 0

    async def append_segment(self, segment: Segment, head: Head) -> None:
        """See `TrailStore`."""
        if self.is_down:
            raise Unavailable("the database does not answer")
        self.appended += 1
        await self._inner.append_segment(segment, head)
        if self.is_deaf:
            raise Unavailable("the connection broke")

    async def chain_head(self, chain: str) -> Head | None:
        """See `TrailStore`."""
        return await self._inner.chain_head(chain)

    async def chain_heads(self, *, after: str, limit: int) -> Sequence[Head]:
        """See `TrailStore`."""
        return await self._inner.chain_heads(after=after, limit=limit)

    async def chain_segments(self, chain: str, *, after: int, limit: int) -> Sequence[Segment]:
        """See `TrailStore`."""
        return await self._inner.chain_segments(chain, after=after, limit=limit)

    async def newest_segments(
        self, *, since: datetime | None, until: datetime | None, before: SegmentPosition | None, limit: int
    ) -> Sequence[Segment]:
        """See `TrailStore`."""
        return await self._inner.newest_segments(since=since, until=until, before=before, limit=limit)

    async def segments_after(self, position: SegmentPosition, *, limit: int) -> Sequence[Segment]:
        """See `TrailStore`."""
        return await self._inner.segments_after(position, limit=limit)

    async def cut_chain(self, head: Head) -> int:
        """See `TrailStore`."""
        return await self._inner.cut_chain(head)


class Database:
    """The SQLite file of a datastore in the hands of somebody who can write to it."""

    def __init__(self, uri: str) -> None:
        self.path = Path(uri.removeprefix("sqlite:///"))

    def run(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run a statement and commit."""
        connection = sqlite3.connect(self.path)
        try:
            with connection:
                return connection.execute(statement, values).fetchall()
        finally:
            connection.close()

    def chain(self, prefix: str) -> str:
        """The name of the one chain that begins so."""
        ((name,),) = self.run("SELECT chain FROM audit_chains WHERE chain LIKE ?", f"{prefix}%")
        return str(name)


async def eventually(check: Any, seconds: float = 5.0) -> None:
    """Wait until a check is true."""
    for _ in range(int(seconds / 0.005)):
        if check():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not come true")
