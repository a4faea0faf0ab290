"""Remembered decisions: how many, how long, and at which revisions they count."""

from __future__ import annotations

import pytest

from authz.engine.flattened import Flattened
from authz.index.bindings import MAX_BINDINGS, Bindings
from authz.index.decisions import DECISION_BYTES, Decisions
from authz.index.memory import TupleIndex
from authz.index.ration import Ration
from authz.index.recent import REMEMBERED
from authz.model.plan import Plan, plans_for
from authz.tuples import RelationshipTuple, UserKind
from tests.support.models import model

SHARED = model("""
model
  schema 1.1
type user
type group
  relations
    define member: [user, group#member]
type doc
  relations
    define parent: [doc]
    define owner: [user]
    define viewer: [user, group#member] or viewer from parent
    define blocked: [user]
    define holder: [user, group#member]
    define can: holder but not blocked
    define team: [group]
""")


def plan(relation: str, type_: str = "doc") -> Plan:
    """A plan for plain users."""
    found = plans_for(SHARED, UserKind("user")).plan(type_, relation)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("relation", "pairs"),
    [
        ("owner", {("doc", "owner")}),
        ("viewer", {("doc", "viewer"), ("doc", "parent"), ("group", "member")}),
        ("can", {("doc", "holder"), ("group", "member"), ("doc", "blocked")}),
    ],
)
def test_a_plan_knows_what_can_change_it(relation: str, pairs: set[tuple[str, str]]) -> None:
    """Every (type, relation) below it, through gates too, and no other."""
    assert plan(relation).pairs == pairs


class History:
    """Decisions of an index that moves."""

    def __init__(self, loaded: int = 5) -> None:
        self.changed: dict[tuple[str, str], int] = {}
        self.decisions = Decisions(self.changed, loaded)

    def change(self, relation: str, object_: str, revision: int) -> None:
        """A tuple changes."""
        self.changed[object_.split(":", maxsplit=1)[0], relation] = revision
        self.decisions.note(object_, revision)
        self.decisions.moved()

    def remember(self, revision: int, *, allowed: bool = True, relation: str = "can") -> None:
        """A decision on `doc:1` was found."""
        self.decisions.remember(plan(relation), "doc:1", "user:a", allowed=allowed, revision=revision)

    def at(self, revision: int, relation: str = "can") -> bool | None:
        """The decision on `doc:1` at a view's revision."""
        return self.decisions.find(plan(relation), "doc:1", "user:a", revision)


def test_a_decision_holds_while_its_tuples_stand_still() -> None:
    """Those of its own pairs on its object, and those of its far pairs anywhere; no other change ends it."""
    history = History()
    history.remember(6)
    assert history.at(6) is True
    history.change("blocked", "doc:2", 7)
    assert history.at(7) is True
    history.change("owner", "doc:1", 8)
    assert history.at(8) is True
    history.change("member", "group:9", 9)
    assert history.at(9) is None
    history.remember(9, allowed=False)
    assert history.at(9) is False
    history.change("blocked", "doc:1", 10)
    assert history.at(10) is None
    assert (history.decisions.tally.hits, history.decisions.tally.misses) == (4, 2)


def test_what_is_far_counts_on_every_object() -> None:
    """A relation that leads to objects of the same type is ended by tuples on any of them."""
    history = History()
    history.remember(6, relation="viewer")
    history.change("viewer", "doc:2", 7)
    assert history.at(7, "viewer") is None


def test_old_decisions_end_when_nobody_knows_what_changed() -> None:
    """Changes of single objects are known for a while only; what is asked for meanwhile stays."""
    history, used = History(), History()
    for each in (history, used):
        each.remember(6)
        for revision in range(7, 7 + 2 * REMEMBERED):
            each.change("blocked", f"doc:{revision}", revision)
            if each is used and revision % 100 == 0:
                assert each.at(revision) is True
    assert history.at(revision) is None
    assert used.at(revision) is True


def test_what_a_slow_thread_found_comes_too_late() -> None:
    """A decision remembered after its tuples have changed is never given."""
    history = History()
    history.change("blocked", "doc:1", 7)
    history.remember(6)
    assert history.at(7) is None


def test_views_behind_the_last_change_are_not_answered() -> None:
    """Nor are those from before the index was loaded."""
    history = History()
    history.change("blocked", "doc:1", 7)
    history.remember(8)
    assert [history.at(revision) for revision in (6, 7, 8)] == [None, True, True]
    history.remember(5, relation="owner")
    assert [history.at(revision, "owner") for revision in (4, 5)] == [None, True]


@pytest.mark.parametrize("capacity", [0, 1, 2, 3, 10, 11])
def test_memory_is_bounded(capacity: int) -> None:
    """Never more entries than allowed, whatever is asked; none at all below two."""
    decisions = Decisions({}, 1, capacity)
    for number in range(50):
        decisions.remember(plan("can"), f"doc:{number}", "user:a", allowed=True, revision=1)
        for earlier in range(0, number, 3):
            decisions.find(plan("can"), f"doc:{earlier}", "user:a", 1)
            assert len(decisions) <= capacity
    assert decisions.is_on is (capacity > 1)
    assert (len(decisions) > 0) is decisions.is_on


def test_indexes_share_a_ration() -> None:
    """However many indexes remember, together they stay within it, and those that are not asked any more are empty."""
    ration = Ration(20 * DECISION_BYTES)
    indexes = [Decisions({}, 1, 100, ration=ration) for _ in range(10)]
    for decisions in indexes:
        for number in range(15):
            decisions.remember(plan("can"), f"doc:{number}", "user:a", allowed=True, revision=1)
            assert sum(map(len, indexes)) <= 20
    assert [len(decisions) for decisions in indexes[:-2]] == [0] * 8
    assert indexes[-1].find(plan("can"), "doc:14", "user:a", 1) is True


def test_groups_of_users_share_the_ration_of_decisions() -> None:
    """Groups that were gathered for a user are forgotten when many others were, and gathered anew."""
    ration = Ration(1)
    index = TupleIndex(1, ration=ration)
    index.load([RelationshipTuple("group:1", "member", "user:a")])
    flattened = Flattened(index, plan("member", "group"))
    user, group = index.find("user:a"), index.find("group:1")
    assert user is not None
    assert flattened.of(user) == {group}
    for other in range(3):
        flattened.of(1_000 + other)
    assert user not in flattened._young
    assert user not in flattened._old
    assert flattened.of(user) == {group}


def test_what_is_used_stays() -> None:
    """A decision that is asked for in every generation is never forgotten."""
    decisions = Decisions({}, 1, 10)
    decisions.remember(plan("can"), "doc:hot", "user:a", allowed=True, revision=1)
    for number in range(100):
        decisions.remember(plan("can"), f"doc:{number}", "user:a", allowed=False, revision=1)
        assert decisions.find(plan("can"), "doc:hot", "user:a", 1) is True
    assert decisions.find(plan("can"), "doc:1", "user:a", 1) is None


class _Derived:
    """Something that is derived from rows."""

    is_released = False

    def release(self) -> None:
        self.is_released = True


def test_bindings_are_bounded() -> None:
    """The oldest one goes; one that is there already takes nobody's place; all are released when nobody asks."""
    bindings, again = Bindings(), _Derived()
    for number in range(MAX_BINDINGS):
        bindings[number] = _Derived()
    bindings[5] = again
    assert len(bindings) == MAX_BINDINGS
    bindings["new"] = _Derived()
    assert len(bindings) == MAX_BINDINGS
    assert 0 not in bindings
    assert bindings[5] is again
    bindings.retire()
    assert not bindings
    assert again.is_released
