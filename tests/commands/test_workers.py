"""Models and orders of several workers: what one has acknowledged, the next question to another knows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import pytest

from authz.clock import SystemClock
from authz.commands.check import CheckQuery, check
from authz.commands.directives import SUSPENSION, Directives
from authz.commands.read import ReadQuery, read
from authz.commands.registry import ModelRegistry
from authz.commands.services import Services
from authz.commands.write import WriteQuery, write
from authz.errors import InvalidWrite, Unavailable
from authz.index.registry import IndexRegistry
from authz.index.signal import SharedCounters
from authz.model.compile import compile_model
from authz.store.api import ModelRecord, TupleWrite
from authz.store.sql import SqlDatastore
from authz.tuples import RelationshipTuple, TupleKey
from schema_dsl import dsl_to_json
from tests.commands.support import CALL, MODEL, new_world, services_over
from tests.support.budget import index_budget
from tests.support.origins import ANNE

pytestmark = pytest.mark.anyio

STORE = "01M805S1Q0MRC4Y8FDWDVAK43Y"
EVE = {"principal": "eve"}


class Counting:
    """A datastore that counts the questions about newest models and orders, and can be away."""

    def __init__(self, datastore: SqlDatastore) -> None:
        self._datastore = datastore
        self.asked = 0
        self.is_away = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._datastore, name)

    async def latest_model_id(self, store_id: str) -> str | None:
        self.asked += 1
        return await self._datastore.latest_model_id(store_id)

    async def directives_after(self, version: int, *, limit: int) -> Any:
        if self.is_away:
            raise Unavailable("the database does not answer")
        self.asked += 1
        return await self._datastore.directives_after(version, limit=limit)


class Silent:
    """The signal between hosts, which has nothing to tell."""

    async def observe(self) -> None:
        pass

    def subscribe(self, callback: Any) -> None:
        pass


@pytest.fixture
def signals() -> Iterator[tuple[SharedCounters, SharedCounters]]:
    """The ends of two workers."""
    descriptor = SharedCounters.create(2)
    ends = SharedCounters(descriptor, 0, 2), SharedCounters(descriptor, 1, 2)
    os.close(descriptor)
    yield ends
    for end in ends:
        end.close()


Signals = tuple[SharedCounters, SharedCounters]


async def add_model(datastore: SqlDatastore, registry: ModelRegistry, number: int) -> str:
    """Write a model and acknowledge it, as a command does."""
    model_id = f"01M805S1Q0MRC4Y8FDWDVA{number:04}"
    body = dsl_to_json(MODEL)
    await datastore.write_model(ModelRecord(STORE, model_id, "1.1", _json(body), SystemClock().now()), by=ANNE)
    registry.add(STORE, compile_model(model_id, body))
    return model_id


def _json(body: object) -> str:
    import orjson

    return orjson.dumps(body).decode()


async def test_the_newest_model_of_another_worker_is_known(sqlite_datastore: SqlDatastore, signals: Signals) -> None:
    """From its acknowledgement on; and while nothing changes, nobody asks for it."""
    counting = Counting(sqlite_datastore)
    here, there = (ModelRegistry(cast("SqlDatastore", counting), Silent(), workers=signal) for signal in signals)
    for number in range(10):
        model_id = await add_model(sqlite_datastore, here, number)
        assert (await there.get(STORE)).id == (await here.get(STORE)).id == model_id
        asked = counting.asked
        for _ in range(10):
            assert (await there.get(STORE)).id == model_id
        assert counting.asked == asked


async def test_other_hosts_are_asked_about_after_the_lag(sqlite_datastore: SqlDatastore, signals: Signals) -> None:
    """Where their signal may be late or lost, a newest model is remembered for no longer than that."""
    here = ModelRegistry(sqlite_datastore, Silent(), workers=signals[0], lag=0.0)
    elsewhere = ModelRegistry(sqlite_datastore)
    for number in range(3):
        model_id = await add_model(sqlite_datastore, elsewhere, number)
        assert (await here.get(STORE)).id == model_id


async def test_orders_of_another_worker_hold_before_the_next_poll(
    sqlite_datastore: SqlDatastore, signals: Signals
) -> None:
    """Whoever asks whether it is behind, and catches up, knows every order that was given, and every end of one."""
    counting = Counting(sqlite_datastore)
    here, there = (Directives(cast("SqlDatastore", counting), SystemClock(), signal) for signal in signals)
    await here.refresh()
    await there.refresh()
    assert not here.is_behind
    assert not there.is_behind
    order = await here.issue(SUSPENSION, EVE, by=ANNE)
    assert not here.is_behind
    assert there.is_behind
    await there.catch_up()
    assert [each.id for each in there.current()] == [order.id]
    asked = counting.asked
    await there.catch_up()
    assert counting.asked == asked
    await there.lift(order.id, by=ANNE)
    assert here.is_behind
    await here.catch_up()
    assert here.current() == []


async def test_orders_that_cannot_be_learned_are_not_passed_over(
    sqlite_datastore: SqlDatastore, signals: Signals
) -> None:
    """While the database is away a worker stays behind, and says so: nobody is let in who may be suspended."""
    counting = Counting(sqlite_datastore)
    here = Directives(sqlite_datastore, SystemClock(), signals[0])
    there = Directives(cast("SqlDatastore", counting), SystemClock(), signals[1])
    await there.refresh()
    await here.issue(SUSPENSION, EVE, by=ANNE)
    counting.is_away = True
    with pytest.raises(Unavailable):
        await there.catch_up()
    assert there.is_behind
    counting.is_away = False
    await there.catch_up()
    assert len(there.current()) == 1


class Late:
    """A datastore whose own signal is still under way, as that of a server database may be, or was lost."""

    def __init__(self, datastore: SqlDatastore) -> None:
        self._datastore = datastore

    def __getattr__(self, name: str) -> Any:
        return getattr(self._datastore, name)

    def may_have_changed(self) -> bool:
        return False


def worker_over(datastore: SqlDatastore, signal: SharedCounters | None) -> Services:
    """The services of a worker, or of a node for which there is no signal."""
    services = services_over(cast("SqlDatastore", Late(datastore)))
    indexes = IndexRegistry(services.datastore, services.tokens.decode, signal, budget=index_budget())
    return replace(services, indexes=indexes)


async def commit_untold(services: Services, store_id: str, key: TupleKey, *, is_delete: bool = False) -> None:
    """What a process does that ends between its commit and its answer."""
    transaction = TupleWrite(deletes=[key]) if is_delete else TupleWrite(writes=[RelationshipTuple(*key)])
    await services.datastore.write(store_id, transaction, by=ANNE, now=SystemClock().now())


async def allows(services: Services, store_id: str, key: TupleKey) -> bool:
    """Check a tuple."""
    return (await check(services, CALL, CheckQuery(store_id, "", *key))).allowed


async def test_a_write_that_is_refused_tells_why(signals: Signals, sqlite_datastore: SqlDatastore) -> None:
    """Who tries again after a process died, and hears that the tuple is there, or gone, finds every worker knowing."""
    one, two = (worker_over(sqlite_datastore, end) for end in signals)
    store_id, key = await new_world(one), TupleKey("document:1", "owner", "user:anne")
    for is_delete in (False, True):
        assert await allows(one, store_id, key) is await allows(two, store_id, key) is is_delete
        await commit_untold(one, store_id, key, is_delete=is_delete)
        again = WriteQuery(store_id, "", deletes=[key]) if is_delete else WriteQuery(store_id, "", writes=[_tuple(key)])
        with pytest.raises(InvalidWrite):
            await write(two, CALL, again)
        assert await allows(one, store_id, key) is await allows(two, store_id, key) is not is_delete


async def test_what_a_node_has_read_out_it_knows(sqlite_datastore: SqlDatastore) -> None:
    """After a Read that shows a tuple, no check on the same node is older, though no signal came."""
    one, two = worker_over(sqlite_datastore, None), worker_over(sqlite_datastore, None)
    store_id, key = await new_world(one), TupleKey("document:1", "owner", "user:anne")
    assert not await allows(two, store_id, key)
    await commit_untold(one, store_id, key)
    assert [found.tuple.key for found in (await read(two, CALL, ReadQuery(store_id))).tuples] == [key]
    assert await allows(two, store_id, key)


def _tuple(key: TupleKey) -> RelationshipTuple:
    return RelationshipTuple(*key)
