"""The rows that a partial index keeps are those of its revision, within their bytes, and leave no name behind."""

from __future__ import annotations

import asyncio
import gc
import weakref
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authz.errors import Bug
from authz.index.cells import RowCache
from authz.index.partial import PartialView
from authz.index.rows import MISSING, members
from authz.index.shared import PartialIndex
from authz.model.plan import Edge
from authz.store.api import ForwardKey, ReverseKey
from authz.tuples import RelationshipCondition, RelationshipTuple, UserKind
from tests.support.history import History, churn

IDS = ("1", "2", "3")
KINDS = (UserKind("user"), UserKind("user", "", wildcard=True), UserKind("group", "member"))
EDGES = [
    Edge(type_, relation, kind, condition)
    for type_, relation in (("doc", "viewer"), ("group", "member"))
    for kind in KINDS
    for condition in ("", "c")
]
POOL = [
    RelationshipTuple(
        f"{edge.type}:{id_}", edge.relation, user, RelationshipCondition("c", {"x": n}) if edge.condition else None
    )
    for edge in EDGES
    for id_ in IDS
    for n, name in enumerate(IDS)
    for user in ["user:*" if edge.user.wildcard else f"group:{name}#member" if edge.user.relation else f"user:{name}"]
]


class Checked:
    """A partial index beside the truth."""

    def __init__(self, seed: int, capacity: int) -> None:
        self.dice = Random(seed)
        self.history = History(self.dice)
        self.cache = RowCache(capacity)
        for _ in range(3):
            self.history.write(*churn(self.dice, self.history.naive.states[-1], POOL))
        self.index = PartialIndex(self.history, "STORE", self.history.naive.head, self.cache)

    def write(self) -> None:
        """One to three revisions at once."""
        changes = []
        for _ in range(self.dice.randint(1, 3)):
            changes += self.history.write(*churn(self.dice, self.history.naive.states[-1], POOL))
        self.index.apply(changes)
        self.check_cells()

    async def read(self) -> None:
        """Read some rows through a view, in rounds, and compare each with the truth at the view's revision."""
        revision = self.index.revision
        if self.dice.random() < 0.3:
            revision = self.dice.randint(0, revision)
        with PartialView(self.index, revision) as view:
            for _ in range(self.dice.randint(1, 3)):
                asked = [(self.dice.choice(EDGES), self.dice.choice(IDS), self.dice.random() < 0.5) for _ in range(4)]
                while any(self.compare(view, *each) for each in asked):
                    await view.fetch()
                await asyncio.sleep(0)
                for each in asked:
                    assert not self.compare(view, *each), "a row that was read is missing again"

    def compare(self, view: PartialView, edge: Edge, id_: str, is_forward: bool) -> bool:
        """Compare a row with the truth; True when it is missing."""
        name = f"{edge.type}:{id_}"
        if not is_forward:
            name = f"{edge.user.type}:{'*' if edge.user.wildcard else id_}"
        key = view.find(name)
        (rows,) = view.forward(edge) if is_forward else view.reverse(edge)
        row = rows.get(key)
        if row is MISSING:
            return True
        found = {view.name(entry): row[entry] if isinstance(row, dict) else None for entry in members(row)}
        assert len(found) == len(members(row))
        assert found == self.truth(view.revision, edge, name, is_forward=is_forward)
        return False

    def truth(self, revision: int, edge: Edge, name: str, *, is_forward: bool) -> dict[str, object]:
        found: dict[str, object] = {}
        suffix = f"#{edge.user.relation}" if edge.user.relation else ""
        for each in self.history.naive.at(revision):
            user = each.user.removesuffix(suffix) if suffix else each.user
            is_kind = each.user.startswith(f"{edge.user.type}:") and ("#" in each.user) == bool(suffix)
            is_kind &= (each.user == "user:*") == edge.user.wildcard
            condition = each.condition.name if each.condition else ""
            is_kind &= (each.relation, condition) == (edge.relation, edge.condition)
            is_kind &= each.object.startswith(f"{edge.type}:")
            if is_kind and name == (each.object if is_forward else user):
                found[user if is_forward else each.object] = each.condition.context if each.condition else None
        return found

    def check_cells(self) -> None:
        """Every cell holds its row at the index's revision, and what all take is what is charged."""
        index, cells = self.index, [cell for shelf in self.index._shelves.values() for cell in shelf.cells.values()]
        for cell in cells:
            for edge, number in index._edges.items():
                shelf = cell.shelf
                if (edge.type, edge.relation) != (shelf.type, shelf.relation):
                    continue
                if not shelf.is_forward and edge.user.relation != shelf.user_relation:
                    continue
                row, name = cell.rows.get(number), index.name(cell.key)
                if not shelf.is_forward and not name.startswith(f"{edge.user.type}:"):
                    assert row is None
                    continue
                found = {index.name(entry): row[entry] if isinstance(row, dict) else None for entry in members(row)}
                if not shelf.is_forward and edge.user.wildcard != name.endswith(":*"):
                    assert not found
                    continue
                if shelf.is_forward or (name != "user:*") or edge.user.wildcard:
                    assert found == self.truth(index.revision, edge, name, is_forward=shelf.is_forward)
        held = {key for cell in cells for key in cell.ids()}
        names = sum(180 + len(index.name(key)) for key in held)
        assert self.cache.bytes == sum(cell.bytes for cell in cells) + names
        assert [cell.bytes for cell in cells] == [cell.measure() for cell in cells]
        assert self.cache.cells == len(cells)
        assert self.cache.bytes <= self.cache.capacity or not cells


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0, 3_000, 10_000, 40_000, 1 << 30]))
def test_rows_are_those_of_the_revision(seed: int, capacity: int) -> None:
    """Whatever is written, read, forgotten and read again at once, in whatever order."""
    checked = Checked(seed, capacity)
    asyncio.run(_live(checked))
    while not checked.index.retire(5):
        pass
    checked.index.tidy()
    assert checked.cache.bytes == checked.cache.cells == 0
    assert len(checked.index.names) == 0
    assert not checked.index._open


async def _live(checked: Checked) -> None:
    async def write() -> None:
        for _ in range(15):
            checked.write()
            for _ in range(checked.dice.randrange(5)):
                await asyncio.sleep(0)
            if checked.dice.random() < 0.2:
                checked.cache.capacity = checked.dice.choice([0, 5_000, 1 << 20])
                checked.cache.trim()

    async def read() -> None:
        for _ in range(8):
            await checked.read()

    await asyncio.gather(write(), read(), read(), read())


async def _read_row(index: PartialIndex, name: str) -> int:
    with PartialView(index, index.revision) as view:
        (rows,) = view.forward(EDGES[0])
        key = view.find(name)
        if rows.get(key) is MISSING:
            await view.fetch()
        return len(members(rows.get(key)))


def test_a_row_beyond_its_share_is_answered_from_and_not_kept() -> None:
    """One large row does not push out everything else."""
    history = History(Random(1))
    users = [RelationshipTuple("doc:1", "viewer", f"user:{n}") for n in range(500)]
    history.write([*users, RelationshipTuple("doc:2", "viewer", "user:1")])
    cache = RowCache(40_000)
    index = PartialIndex(history, "STORE", 1, cache)
    assert asyncio.run(_read_row(index, "doc:2")) == 1
    assert asyncio.run(_read_row(index, "doc:1")) == 500
    assert cache.cells == 1
    assert len(index.names) == 2


def test_what_is_used_stays() -> None:
    """A row that is asked for again and again is not read again, though many others come and go."""
    history = History(Random(1))
    history.write([RelationshipTuple(f"doc:{n}", "viewer", "user:1") for n in range(200)])
    index = PartialIndex(history, "STORE", 1, RowCache(20_000))
    asyncio.run(_read_row(index, "doc:0"))
    for n in range(1, 200):
        asyncio.run(_read_row(index, f"doc:{n}"))
        asyncio.run(_read_row(index, "doc:0"))
    assert history.rounds == 200


def test_a_gap_in_the_changelog_is_a_bug() -> None:
    """A partial index never jumps over a revision."""
    history = History(Random(1))
    index = PartialIndex(history, "STORE", 0, RowCache(0))
    history.write(POOL[:1])
    with pytest.raises(Bug, match="revision 0 to 2"):
        index.apply(history.write(POOL[1:2]))


def test_keys_of_both_directions_differ() -> None:
    """A forward and a reverse key never stand for each other."""
    assert ForwardKey("a", "b") != ReverseKey("a", "b", "")


async def _fill(index: PartialIndex) -> PartialView:
    """An open view that has read a row."""
    view = PartialView(index, index.revision).open()
    (rows,) = view.forward(EDGES[0])
    rows.get(view.find("doc:1"))
    await view.fetch()
    return view


def test_a_retired_index_is_freed_although_the_collector_does_not_see_it() -> None:
    """Not while somebody reads it; then with all it has, and what is read at the end is not kept."""
    checked = Checked(1, 1 << 20)
    index, cache = checked.index, checked.cache
    view = asyncio.run(_fill(index))
    assert not index.retire(0)
    assert not index.retire(100)
    asyncio.run(_fill(index)).close()
    assert cache.bytes == cache.cells == 0
    view.close()
    assert index.retire(100)
    gone = weakref.ref(index)
    gc.disable()
    try:
        del index, view, checked.index
        assert gone() is None
    finally:
        gc.enable()
