"""Days of churn leave an index no larger than it must be, and as right as one that is read anew."""

from __future__ import annotations

import gc
import sys
import tracemalloc
import weakref
from datetime import UTC, datetime
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from authz.index.memory import Snapshot, TupleIndex
from authz.index.rows import View, members
from authz.model.plan import Edge
from authz.store.api import Change, Operation
from authz.tuples import RelationshipTuple, UserKind
from tests.support.models import model
from tests.support.world import World

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OWNER = Edge("doc", "owner", UserKind("user"))
SHARED = Edge("doc", "viewer", UserKind("group", "member"))
MEMBER = Edge("group", "member", UserKind("user"))
EDGES = {"owner": OWNER, "viewer": SHARED, "member": MEMBER}


class Churned:
    """An index that is changed at random, beside the tuples it must hold."""

    def __init__(self, seed: int, *, alive: int, names: int = 1 << 40) -> None:
        self.dice = Random(seed)
        self.index = TupleIndex(0)
        self.alive: list[RelationshipTuple] = []
        self._target = alive
        self._names = names
        self._number = 0

    def step(self) -> None:
        """One revision: things come and go, with names that were never there before, or were once."""
        changes: list[tuple[Operation, RelationshipTuple]] = []
        while len(self.alive) > self._target or (self.alive and self.dice.random() < 0.3):
            place = self.dice.randrange(len(self.alive))
            self.alive[place], self.alive[-1] = self.alive[-1], self.alive[place]
            changes.append((Operation.DELETE, self.alive.pop()))
        present = set(self.alive)
        for _ in range(self.dice.randrange(3)):
            self._number += 1
            number, other = self._number % self._names, self.dice.randrange(40)
            new = self.dice.choice(
                [
                    RelationshipTuple(f"doc:{number}", "owner", f"user:{other}"),
                    RelationshipTuple(f"doc:{number % 60}", "viewer", f"group:{number}#member"),
                    RelationshipTuple(f"group:{other}", "member", f"user:{number}"),
                ]
            )
            if new not in present:
                present.add(new)
                self.alive.append(new)
                changes.append((Operation.WRITE, new))
        revision = self.index.revision + 1
        self.index.apply([Change(revision, n, *each, NOW, "") for n, each in enumerate(changes)])

    def names(self) -> set[str]:
        """The names that the tuples hold."""
        return {each.object for each in self.alive} | {each.user.partition("#")[0] for each in self.alive}


def contents(view: View, names: set[str]) -> set[RelationshipTuple]:
    """All tuples of objects with these names, read forward, and the same backward."""
    forward, backward = set(), set()
    for name in names:
        key = view.find(name)
        if key is None:
            continue
        assert view.name(key) == name
        for relation, edge in EDGES.items():
            suffix = f"#{edge.user.relation}" if edge.user.relation else ""
            (rows,), (others,) = view.forward(edge), view.reverse(edge)
            forward |= {RelationshipTuple(name, relation, view.name(user) + suffix) for user in members(rows.get(key))}
            backward |= {RelationshipTuple(view.name(doc), relation, name + suffix) for doc in members(others.get(key))}
    assert forward == backward
    return forward


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_names_come_back_with_other_ids_and_snapshots_never_notice(seed: int) -> None:
    """Few names that come and go, with snapshots open across it: index and snapshots hold what they must."""
    churned = Churned(seed, alive=12, names=15)
    names = {f"{kind}:{n}" for kind in ("doc", "group", "user") for n in range(60)}
    snapshots: list[tuple[Snapshot, set[RelationshipTuple], dict[str, int | None]]] = []
    for _ in range(60):
        churned.step()
        alive = set(churned.alive)
        if churned.dice.random() < 0.3:
            snapshot = churned.index.snapshot()
            snapshots.append((snapshot, alive, {}))
        if snapshots and churned.dice.random() < 0.25:
            snapshots.pop(churned.dice.randrange(len(snapshots)))[0].close()
        assert contents(churned.index, names) == alive
        for snapshot, frozen, found in snapshots:
            assert contents(snapshot, names) == frozen
            for name in {each.object for each in frozen}:
                assert found.setdefault(name, snapshot.find(name)) == snapshot.find(name)
    for snapshot, *_ in snapshots:
        snapshot.close()
    churned.step()
    assert set(churned.index.names().sample(1 << 20)) == churned.names()


def test_memory_does_not_grow() -> None:
    """Thousands of revisions with new names take no more than those before them, and leave only what is alive."""
    tracemalloc.start()
    try:
        churned, sizes = Churned(5, alive=200), []
        for _ in range(4):
            for number in range(2_000):
                if number % 50 == 0:
                    with churned.index.snapshot():
                        churned.step()
                churned.step()
            sizes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert sizes[-1] < sizes[1] * 1.1
    assert set(churned.index.names().sample(1 << 20)) == churned.names()
    fresh = TupleIndex(churned.index.revision)
    fresh.load(churned.alive)
    assert contents(fresh, churned.names()) == contents(churned.index, churned.names())
    assert len(churned.index.names()._names) < 3 * len(churned.names()) + 500


def test_rows_that_shrink_give_their_memory_back() -> None:
    """A row that had thousands of entries takes what its few entries need, whichever direction it is."""
    index = TupleIndex(0)
    shared = [RelationshipTuple("group:1", "member", f"user:{n}") for n in range(5_000)]
    owned = [RelationshipTuple(f"doc:{n}", "owner", "user:1") for n in range(5_000)]
    index.load(shared + owned)
    for revision, gone in enumerate((shared[3:], owned[3:]), 1):
        index.apply([Change(revision, n, Operation.DELETE, each, NOW, "") for n, each in enumerate(gone)])
    group, user = index.find("group:1"), index.find("user:1")
    assert group is not None
    assert user is not None
    rows = [index.forward(MEMBER)[0].get(group), index.reverse(OWNER)[0].get(user)]
    assert [len(members(row)) for row in rows] == [3, 3]
    assert all(row.__sizeof__() < 1_000 for row in rows)


def test_a_retired_index_is_freed_in_parts() -> None:
    """Not while somebody reads a snapshot of it, and then entirely."""
    churned = Churned(3, alive=100)
    for _ in range(300):
        churned.step()
    index = churned.index
    snapshot = index.snapshot()
    assert not index.retire(1_000_000)
    snapshot.close()
    parts = 0
    while not index.retire(20):
        parts += 1
    assert parts > 3
    assert not any(index.tables())
    assert len(index.names()) == 0


GROUPS = model("""
model
  schema 1.1
type user
type group
  relations
    define member: [user, group#member]
type doc
  relations
    define parent: [doc]
    define blocked: [user]
    define viewer: [group#member] or viewer from parent
    define can: viewer but not blocked
""")


def test_a_retired_index_is_freed_although_the_collector_does_not_see_it() -> None:
    """With all that was derived from its rows for a model that leads in circles."""
    world = World(GROUPS, [RelationshipTuple("doc:1", "viewer", "group:1#member")])
    index = world.view()
    assert isinstance(index, TupleIndex)
    assert not world.check("user:1", "can", "doc:1")
    assert world.list_users("doc:1", "can", UserKind("user")) == []
    (tables, gone) = index.tables(), weakref.ref(index)
    while not index.retire(100):
        pass
    assert all(sys.getsizeof(rows) == sys.getsizeof({}) for rows in tables)
    gc.disable()
    try:
        del index, world
        assert gone() is None
    finally:
        gc.enable()
