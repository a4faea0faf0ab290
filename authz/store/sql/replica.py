"""Reads by a streaming replica, where they are as right as by the primary. Built by `opening`; asked by `datastore`.

Why an answer of the replica is right however far it is behind:

- A store's history only grows. Revision r of a store is written once, under the lock of the store's revision row, in
  the transaction that sets this row to r. What was alive at r, and what changed in r, is the same for ever after.
- A replica replays transactions whole and in the order of their commits. So if its own revision row of a store says
  h, it has every revision of that store up to h, and a later statement on the same connection has them as well.
- Hence: what is read at a revision r <= h, or the first changes behind a place if there are enough of them, is what the
  primary would answer. Each connection is asked for h before it is used, and remembers it, for h never falls there.
  Whatever needs the newest state (the head of a store, the end of the changelog, the oldest revision that is kept for
  tokens, models) is never asked here.
- The server must be a replica of *this* datastore: it holds the datastore's random identity, stands at the program's
  migration, and is in recovery when it tells its h. One that was promoted goes on with a history of its own; what it
  had before remains right, and it is not asked for more.
- Nor is it asked once another server took the primary's place, until it has replayed something of that one's timeline:
  only then are the commits that this one lacks known not to be there either.
- A row that the primary has collected may still stand in the replica; then so does the oldest readable revision that
  permits reading it.

Whatever goes wrong (a replica that is behind, away, slow, or cancels a read that stands in the way of its replay) ends
in the primary being asked instead. A URI must name one server, or a pool that keeps a session on one server.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from cachetools import LRUCache
from sqlalchemy import String, bindparam, exc, func, select

from authz.errors import AuthzError
from authz.store.sql.failures import Failure, failure_of
from authz.store.sql.lag import LagWatch, Unfit
from authz.store.sql.migrate import HEAD, version
from authz.store.sql.tables import revisions, secrets

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Engine

    from authz.store.sql.lineage import Lineage

T = TypeVar("T")

IDENTITY = "datastore"
"""The name of the secret that tells one datastore from another."""
PATIENCE = 2.0
"""Seconds after which the primary is asked instead."""
BULK_PATIENCE = 20.0
"""The same for reads of thousands of rows, which nobody awaits by the second."""
_STORES = 10_000
"""Of how many stores a connection remembers the head."""
_HEADS = "heads"

_revision = select(revisions.c.revision).where(revisions.c.store_id == bindparam("store_id", type_=String()))
_head = select(func.pg_is_in_recovery(), _revision.scalar_subquery())
_in_recovery = select(func.pg_is_in_recovery())
_who = select(
    func.pg_is_in_recovery(),
    select(version.c.version_num).scalar_subquery(),
    select(secrets.c.value).where(secrets.c.name == IDENTITY).scalar_subquery(),
)


class ReplicaOptions(NamedTuple):
    """A replica to read from: its URI, by how many seconds it may be behind, and how many connections it gets."""

    uri: str
    max_lag: float = 5.0
    readers: int = 4


class Found(NamedTuple, Generic[T]):
    """An answer of the replica."""

    value: T


class Engines(NamedTuple):
    """Connections: to read from the replica, and one each to compare it with the primary."""

    reader: Engine
    watched: Engine
    primary: Engine
    lineage: Lineage
    """Of the primary."""


class Replica:
    """Answers what it can; None stands for "ask the primary".

    `outcomes` counts, by what became of them, the reads that it was considered for: `answered`, `behind` (it lacks the
    revision, or the changelog ends there), `unused` (too far behind, away or not fit), `slow`, `conflict` (its replay
    went first), `failed`.
    """

    def __init__(self, engines: Engines, identity: bytes, *, readers: int, max_lag: float) -> None:
        self._engine = engines.reader
        self._identity = identity
        self._threads = ThreadPoolExecutor(readers, "store-replica")
        self._closed = False
        self._watch = LagWatch(engines.primary, engines.watched, engines.lineage, self._verify, max_lag)
        self.outcomes = dict.fromkeys(("answered", "behind", "unused", "slow", "conflict", "failed"), 0)

    @property
    def lag(self) -> float:
        """By how many seconds it is behind, or was not heard of."""
        return self._watch.seconds

    async def read_at(
        self, store_id: str, revision: int, body: Callable[[Connection], T], *, is_bulk: bool = False
    ) -> Found[T] | None:
        """Run `body`, which reads tuples of a store at a revision, if the replica has that revision."""

        def work() -> Found[T] | None:
            with self._engine.connect() as connection:
                return Found(body(connection)) if self._head(connection, store_id, revision) >= revision else None

        return await self._ask(work, BULK_PATIENCE if is_bulk else PATIENCE)

    async def read_first(self, body: Callable[[Connection], T], is_full: Callable[[T], bool]) -> Found[T] | None:
        """Run `body`, which reads the first changes behind a place, if the replica has as many as are wanted."""

        def work() -> Found[T] | None:
            with self._engine.connect() as connection:
                self._heads(connection)
                value = body(connection)
                if not connection.execute(_in_recovery).scalar():
                    raise Unfit("it is no replica any more")
                return Found(value) if is_full(value) else None

        return await self._ask(work, PATIENCE)

    async def close(self) -> None:
        """Wait for what runs, then let go of threads and connections."""
        self._closed = True
        await asyncio.to_thread(self._shut_down)

    def _shut_down(self) -> None:
        self._watch.close()
        self._threads.shutdown()
        self._engine.dispose()

    async def _ask(self, work: Callable[[], Found[T] | None], patience: float) -> Found[T] | None:
        if self._closed or not self._watch.is_close:
            self.outcomes["unused"] += 1
            return None
        running = self._threads.submit(work)
        try:
            async with asyncio.timeout(patience):
                found = await asyncio.wrap_future(running)
        except TimeoutError:
            self._give_up("slow")
            return None
        except (exc.SQLAlchemyError, Unfit) as error:
            self._give_up("conflict" if failure_of(error) is Failure.CONFLICT else "failed")
            return None
        except AuthzError:
            found = None  # what is refused here the primary refuses as well, if it is to be refused
        self.outcomes["behind" if found is None else "answered"] += 1
        return found

    def _give_up(self, outcome: str) -> None:
        self.outcomes[outcome] += 1
        if outcome != "conflict":
            self._watch.distrust()

    def _head(self, connection: Connection, store_id: str, revision: int) -> int:
        """The revision of a store up to which this connection's server has everything, or less; asked if need be."""
        heads = self._heads(connection)
        known = heads.get(store_id, 0)
        if known >= revision:
            return known
        in_recovery, head = connection.execute(_head, {"store_id": store_id}).one()
        if not in_recovery:
            raise Unfit("it is no replica any more")
        heads[store_id] = head or 0
        return head or 0

    def _heads(self, connection: Connection) -> LRUCache[str, int]:
        """What is known of the server at the other end; it is verified first."""
        heads: LRUCache[str, int] | None = connection.info.get(_HEADS)
        if heads is None:
            self._verify(connection)
            heads = connection.info[_HEADS] = LRUCache(_STORES)
        return heads

    def _verify(self, connection: Connection) -> None:
        in_recovery, migration, identity = connection.execute(_who).one()
        if not in_recovery:
            raise Unfit("it is no replica: it takes writes")
        if migration != HEAD:
            raise Unfit("it is not at the migration of this program")
        if identity is None or bytes(identity) != self._identity:
            raise Unfit("it is a replica of another datastore")
