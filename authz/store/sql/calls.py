"""Run the blocking work of the datastore on a few threads, try again where that is safe, and translate errors.

Called by `datastore`, one hop per call; knows nothing of tables.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar
from weakref import WeakValueDictionary

from sqlalchemy import exc

from authz import errors
from authz.store.sql.failures import Failure, Raced, failure_of, to_domain

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from authz.store.sql.dialect import Dialect

P = ParamSpec("P")
T = TypeVar("T")
Body = Callable[Concatenate["Connection", P], T]

ATTEMPTS = 6
"""How often a transaction is tried."""
PATIENCE = 5.0
"""Seconds after which a transaction that keeps failing is not tried again."""
_FIRST_PAUSE = 0.005
"""Seconds before the second attempt, doubled for each further one, less up to half at random."""

_RETRIED = frozenset({Failure.CONFLICT, Failure.BUSY, Failure.DISCONNECTED})
_ROLLED_BACK = frozenset({Failure.CONFLICT, Failure.BUSY, Failure.TAKEN, Failure.BAD_VALUE})
"""What proves of a commit that it did not happen."""


class Calls:
    """The threads and connections of one datastore. A call whose waiter is cancelled still runs to its end.

    `committed` is called on the writing thread after each transaction that was not quiet.
    """

    def __init__(self, dialect: Dialect, committed: Callable[[], None]) -> None:
        self._dialect = dialect
        self._committed = committed
        self._readers = ThreadPoolExecutor(dialect.reader_threads, "store-read")
        self._writers = ThreadPoolExecutor(dialect.writer_threads, "store-write")
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._closed = False

    async def read(self, body: Body[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `body` on a reading connection, where each statement is a transaction of its own."""
        return await self._hop(self._readers, lambda: _attempt(lambda: self._read(body, *args, **kwargs)))

    async def write(self, body: Body[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `body` in one transaction with the right to write; it may run more than once."""
        return await self._hop(self._writers, lambda: _attempt(lambda: self._write(body, *args, **kwargs)))

    async def write_quietly(self, body: Body[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`write` what no other process keeps in memory until it is told of a change."""
        return await self._hop(self._writers, lambda: _attempt(lambda: self._commit(body, *args, **kwargs)))

    async def write_in_turn(self, queue: str, body: Body[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`write`, one call of a queue after the other.

        The writers of one store wait for each other anyway; here they hold no thread and no connection meanwhile,
        which are left to the other stores.
        """
        turn = self._turns.get(queue)
        if turn is None:
            turn = self._turns[queue] = asyncio.Lock()
        async with turn:
            return await self.write(body, *args, **kwargs)

    async def close(self) -> None:
        """Wait for what runs, then let go of threads and connections."""
        self._closed = True
        await asyncio.to_thread(self._shut_down)

    async def _hop(self, threads: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        if self._closed:
            raise errors.Unavailable("the datastore is closed")
        return await asyncio.get_running_loop().run_in_executor(threads, work)

    def _shut_down(self) -> None:
        self._readers.shutdown()
        self._writers.shutdown()
        self._dialect.reader.dispose()
        self._dialect.writer.dispose()

    def _read(self, body: Body[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        with self._dialect.reader.connect() as connection:
            return body(connection, *args, **kwargs)

    def _write(self, body: Body[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        # Here and not after the hop: a commit counts even if its waiter has gone, or nobody knows of it.
        try:
            result = self._commit(body, *args, **kwargs)
        except errors.Unavailable:
            self._committed()
            raise
        self._committed()
        return result

    def _commit(self, body: Body[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        with self._dialect.writer.connect() as connection:
            result = body(connection, *args, **kwargs)
            _commit(connection)
            return result


def run_once(engine: Engine, body: Callable[[Connection], T]) -> T:
    """Run `body` in one transaction on the calling thread, errors translated; for opening and migrating.

    Commits whatever the engine's mode.
    """

    def work() -> T:
        with engine.connect() as connection:
            result = body(connection)
            _commit(connection)
            return result

    return _attempt(work)


def _commit(connection: Connection) -> None:
    try:
        connection.commit()
    except exc.DBAPIError as error:
        if failure_of(error) in _ROLLED_BACK:
            raise
        # It may or may not have happened: trying again could apply it twice, or refuse what it did itself.
        raise to_domain(Failure.UNDECIDED) from error


def _attempt(work: Callable[[], T]) -> T:
    started = time.monotonic()
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return work()
        except (exc.SQLAlchemyError, UnicodeEncodeError, Raced) as error:
            failure = failure_of(error)
            late = time.monotonic() - started > PATIENCE
            if failure not in _RETRIED or attempt == ATTEMPTS or late:
                raise to_domain(failure) from error
        time.sleep(_FIRST_PAUSE * 2**attempt * random.uniform(0.5, 1.0))  # noqa: S311 - jitter is no secret
    raise errors.Bug("a transaction was tried without an outcome")
