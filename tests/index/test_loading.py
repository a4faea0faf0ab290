"""A loaded index holds what the datastore has, is loaded in small turns, and tells how far it is."""

from __future__ import annotations

import asyncio
import gc
import itertools
import weakref
from collections.abc import AsyncGenerator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from authz.index import loading
from authz.index.loading import by_edge, load
from authz.index.memory import TupleIndex
from authz.index.rows import Context
from authz.model.plan import Edge
from authz.store.api import TupleColumns
from authz.tuples import RelationshipCondition, RelationshipTuple
from tests.support.columns import to_columns
from tests.support.rows import HeldBackReader

pytestmark = pytest.mark.anyio

OBJECTS = ("doc:1", "doc:2", "doc:a:b", "folder:1")
USERS = ("user:a", "user:b", "user:*", "user:a*", "user:a:*", "group:a#member", "group:a", "doc:1", "group:a#owner")
CONDITIONS = (None, RelationshipCondition("c", {}), RelationshipCondition("c", {"x": [1]}))


@st.composite
def stores(draw: st.DrawFn) -> list[RelationshipTuple]:
    """Tuples with unique keys."""
    keys = st.tuples(st.sampled_from(OBJECTS), st.sampled_from(("viewer", "owner")), st.sampled_from(USERS))
    chosen = draw(st.lists(keys, unique=True, max_size=40))
    return [RelationshipTuple(*key, draw(st.sampled_from(CONDITIONS))) for key in chosen]


class Reader(HeldBackReader):
    """Gives the tuples in batches; `each` is called before every one."""

    def __init__(self, tuples: Sequence[RelationshipTuple], size: int = 7) -> None:
        super().__init__(tuples)
        self.batches = [tuples[start : start + size] for start in range(0, len(tuples), size)]
        self.is_closed = False

    async def columns(self, store_id: str, revision: int) -> AsyncGenerator[Sequence[TupleColumns], None]:
        """The tuples."""
        try:
            for batch in self.batches:
                yield to_columns(batch)
        finally:
            self.is_closed = True


def _content(index: TupleIndex) -> dict[tuple[Edge, bool], dict[str, object]]:
    """Rows by name, in both directions."""
    found: dict[tuple[Edge, bool], dict[str, object]] = {}
    for edge, table in index._tables.items():
        for is_forward, rows in ((True, table.forward), (False, table.reverse)):
            found[edge, is_forward] = {index.name(key): _named(index, row) for key, row in rows.items()}
    return found


def _named(index: TupleIndex, row: object) -> object:
    if isinstance(row, dict):
        return {index.name(entry): context for entry, context in row.items()}
    entries = row if isinstance(row, set | list) else [row]
    return sorted(index.name(entry) for entry in entries)  # type: ignore[arg-type]


@given(tuples=stores())
async def test_columns_are_taken_in_like_tuples(tuples: list[RelationshipTuple]) -> None:
    """Whatever stands on their right, with and without conditions."""
    plain, loaded = TupleIndex(1), TupleIndex(1)
    plain.load(tuples)
    await load(loaded, Reader(tuples), "S", expected=len(tuples))
    assert _content(plain) == _content(loaded)
    assert plain.tuples == loaded.tuples == len(tuples)


def test_a_line_break_in_a_name_makes_no_other_user() -> None:
    """Kinds are told from the texts of many users at once."""
    users = ["user:a", "group:b\nuser:c"]
    parts = list(by_edge(TupleColumns("doc", "viewer", "", ["doc:1", "doc:2"], users, [])))
    assert [(part.edge.user.type, list(part.users)) for part in parts] == [("user", users[:1]), ("group", users[1:])]


async def test_other_calls_get_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between any two chunks, and a chunk is small."""
    monkeypatch.setattr(loading, "TUPLES_PER_TURN", 10)
    turns: list[int] = []
    sizes: list[int] = []

    class Watched(TupleIndex):
        """Remembers what it was given when."""

        def load_columns(
            self, edge: Edge, objects: Sequence[str], users: Sequence[str], contexts: Sequence[Context]
        ) -> None:
            """Note the size and the turn."""
            sizes.append(len(objects))
            turns.append(passed)
            super().load_columns(edge, objects, users, contexts)

    passed = 0
    index = Watched(1)
    reader = Reader([RelationshipTuple(f"doc:{number}", "viewer", "user:a") for number in range(100)], size=50)
    work = asyncio.create_task(load(index, reader, "S", expected=100))
    while not work.done():
        passed += 1
        await asyncio.sleep(0)
    assert sizes == [10] * 10
    assert len(set(turns)) == 10


async def test_the_log_tells_how_far_it_is() -> None:
    """When it began, every two seconds where it is, and what it took; a small store is not worth a line."""
    seconds = itertools.count(0.0, 1.5)
    reader = Reader([RelationshipTuple(f"doc:{number}", "viewer", "user:a") for number in range(50)], size=10)
    with capture_logs() as logs:
        await load(TupleIndex(1), reader, "S", expected=10_000, monotonic=lambda: next(seconds))
    assert [log["event"] for log in logs] == [
        "index_load_started",
        "index_load_progress",
        "index_load_progress",
        "index_load_finished",
    ]
    first, middle, _, last = logs
    assert {log["log_level"] for log in logs} == {"info"}
    assert (first["expected"], middle["tuples"], middle["percent"], middle["rate"]) == (10_000, 20, 0, 7)
    assert (last["tuples"], last["seconds"]) == (50, 9.0)
    with capture_logs() as logs:
        await load(TupleIndex(1), reader, "S", expected=50)
    assert {log["log_level"] for log in logs} == {"debug"}


async def test_reading_ends_with_a_load_that_is_given_up() -> None:
    """Nothing is read ahead for nobody."""
    reader = Reader([RelationshipTuple(f"doc:{number}", "viewer", "user:a") for number in range(50)])
    work = asyncio.create_task(load(TupleIndex(1), reader, "S", expected=50))
    await asyncio.sleep(0)
    work.cancel()
    await asyncio.wait([work])
    assert reader.is_closed


def test_garbage_is_collected_before_it_is_out_of_sight() -> None:
    """Else what a question left behind when a store was loaded would stay for ever, with the index that it refers to.

    Small stores do not take everything out of sight each time: by then much may have become garbage.
    """

    class Garbage:
        def __init__(self) -> None:
            self.itself = self

    gone, fresh = weakref.ref(Garbage()), loading._Fresh()
    fresh.add(1)
    assert gone() is None
    known = gc.get_freeze_count()
    left = [object(), []]
    fresh.add(loading._FROZEN_TUPLES - 1)
    assert gc.get_freeze_count() <= known
    fresh.add(1)
    assert gc.get_freeze_count() > known
    assert left
