"""Models and orders of several workers: what one has acknowledged, the next question to another knows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, cast

import pytest

from authz.clock import SystemClock
from authz.commands.directives import SUSPENSION, Directives
from authz.commands.registry import ModelRegistry
from authz.errors import Unavailable
from authz.index.signal import SharedCounters
from authz.model.compile import compile_model
from authz.store.api import ModelRecord
from authz.store.sql import SqlDatastore
from schema_dsl import dsl_to_json
from tests.commands.support import MODEL
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
