"""The registry looks as often as it must for changes of others, and no oftener."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from authz.commands.tokens import TokenCodec
from authz.consistency import Consistency
from authz.index.memory import TupleIndex
from authz.index.registry import IndexRegistry
from authz.store.api import WriteResult
from authz.tuples import RelationshipTuple
from tests.support.history import History

pytestmark = pytest.mark.anyio

TOKENS = TokenCodec(b"a key of the test")
FRESH = Consistency()


class Watched(History):
    """Counts looks and questions for the head; says that something changed when it is told to."""

    def __init__(self) -> None:
        super().__init__(Random(1))
        self.looks = self.heads = 0
        self.news = False

    lineage = 0

    def may_have_changed(self) -> bool:
        self.looks += 1
        told, self.news = self.news, False
        return told

    async def head_revision(self, store_id: str) -> int:
        self.heads += 1
        return await super().head_revision(store_id)


class Other:
    """The signal of another worker."""

    def __init__(self) -> None:
        self.told = self.raised = 0

    def raise_(self, key: str) -> None:
        self.raised += 1

    def state(self, key: str) -> bytes:
        return str(self.told).encode()


def _add(history: History, number: int) -> WriteResult:
    changes = history.write([RelationshipTuple(f"doc:{number}", "viewer", "user:1")])
    return WriteResult(history.naive.head, tuple(changes))


async def test_one_call_looks_once() -> None:
    """However many indexes it asks for; calls that had come in before the look share it, later ones look again."""
    history = Watched()
    indexes = IndexRegistry(history, TOKENS.decode)
    await indexes.view("A", FRESH)
    await asyncio.sleep(0)

    async def call() -> None:
        assert indexes.current("A") is not None
        await indexes.observe()
        await indexes.view("A", FRESH)

    history.looks = 0
    await call()
    assert history.looks == 1
    await asyncio.sleep(0)
    await call()
    assert history.looks == 2
    await asyncio.gather(call(), call())
    assert history.looks == 3


async def test_what_others_wrote_between_two_calls_is_seen() -> None:
    """The look of one call does for no later one, though both are made by the same task."""
    history = Watched()
    indexes = IndexRegistry(history, TOKENS.decode)
    await indexes.view("A", FRESH)
    for number in range(20):
        await asyncio.sleep(0)
        _add(history, number)
        history.news = True
        assert (await indexes.view("A", FRESH)).revision == history.naive.head


async def test_own_writes_ask_for_no_head() -> None:
    """What they made is known."""
    history = Watched()
    indexes = IndexRegistry(history, TOKENS.decode)
    await indexes.view("A", FRESH)
    history.heads = 0
    for number in range(5):
        await indexes.applied("A", _add(history, number))
        view = await indexes.view("A", FRESH)
        assert isinstance(view, TupleIndex)
        assert view.tuples == number + 1
        await asyncio.sleep(0)
    assert history.heads == 0


async def test_other_workers_are_heard() -> None:
    """Each time they tell of a write the head is asked for once; own writes are told before they are acknowledged."""
    history, signal = Watched(), Other()
    indexes = IndexRegistry(history, TOKENS.decode, signal)
    await indexes.view("A", FRESH)
    history.heads = 0
    for number in range(5):
        _add(history, number)
        signal.told += 1
        for _ in range(3):
            assert (await indexes.view("A", FRESH)).revision == number + 1
            await asyncio.sleep(0)
    assert history.heads == 5
    await indexes.applied("B", _add(history, 9))
    assert signal.raised == 1


async def test_other_workers_hear_of_what_a_caller_was_told() -> None:
    """Somebody else's commit, of which a caller learns here, is asked for there; one that was told of is no news."""
    history, signal = Watched(), Other()
    indexes = IndexRegistry(history, TOKENS.decode, signal)
    for number in range(3):
        _add(history, number)
        for _ in range(2):
            assert await indexes.revision_for("A", FRESH) == number + 1
        assert signal.raised == number + 1
    await indexes.applied("A", _add(history, 3))
    assert await indexes.revision_for("A", FRESH) == 4
    assert signal.raised == 4
