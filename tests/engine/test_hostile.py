"""Models and data made to mislead, exhaust or race the engine."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from authz.engine.budget import Budget
from authz.engine.check import check
from authz.engine.kleene import ALLOWED, DENIED
from authz.errors import Bug, DeadlineExceeded
from authz.index.memory import TupleIndex
from authz.index.overlay import Overlay
from authz.model import plan as plans
from authz.model.plan import PlanSet, plans_for
from authz.store.api import Change, Operation
from authz.tuples import RelationshipTuple, UserKind
from tests.support.models import conditional, model, tuples
from tests.support.rows import HeldBackReader
from tests.support.world import World, bring, unlimited

GUARDED = """
model
  schema 1.1
type user
type folder
  relations
    define staff: [user]
    define banned: [user]
{chain}
    define r{count}: [user]
type doc
  relations
    define parent: [folder]
    define viewer: [user]
    define can: viewer but not (banned from parent or r0 from parent)
"""


def test_long_chains_of_gates_are_planned_and_answered() -> None:
    """Hundreds of intersections below one another are no recursion, and the exclusion above them holds."""
    count = 600
    chain = "\n".join(f"    define r{n}: r{n + 1} and staff" for n in range(count))
    hostile = model(GUARDED.format(chain=chain, count=count))
    world = World(hostile, tuples("doc:1#viewer@user:eve", "doc:1#parent@folder:1", "folder:1#banned@user:eve"))
    for _ in range(2):
        assert not world.check("user:eve", "can", "doc:1")
    deep = World(hostile, tuples("doc:1#viewer@user:eve", "doc:1#parent@folder:1", f"folder:1#r{count}@user:eve"))
    assert deep.check("user:eve", "can", "doc:1")
    staff = tuples("folder:1#staff@user:eve")
    assert not deep.check("user:eve", "can", "doc:1", contextual=staff)


def test_plans_grow_like_the_model() -> None:
    """A relation that is named twice at every level is planned once."""
    chain = "\n".join(f"    define r{n}: (r{n + 1} and staff) or (r{n + 1} and banned)" for n in range(40))
    plan_set = plans_for(model(GUARDED.format(chain=chain, count=40)), UserKind("user"))
    assert plan_set.plan("doc", "can")
    assert plan_set._count < 200


def test_a_plan_that_failed_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """When making a plan fails half-way, the next attempt fails too instead of using what is half done."""
    chain = "\n".join(f"    define r{n}: r{n + 1} and staff" for n in range(9))
    plan_set = PlanSet(model(GUARDED.format(chain=chain, count=9)), UserKind("user"))
    monkeypatch.setattr(plans, "STRIDE", 5)
    for _ in range(2):
        with pytest.raises(Bug):
            plan_set.plan("doc", "can")


BLOCKABLE = model("""
model
  schema 1.1
type user
type doc
  relations
    define viewer: [user, user:*]
    define blocked: [user]
    define can: viewer but not blocked
""")


def test_a_name_keeps_its_id_while_others_write() -> None:
    """A contextual tuple still counts when the index comes to know its names between overlay and question."""
    index = TupleIndex(1)
    index.load(tuples("doc:1#viewer@user:*"))
    view = Overlay(index.snapshot(), tuples("doc:1#blocked@user:eve"))
    (written,) = tuples("doc:9#viewer@user:eve")
    index.apply([Change(2, 0, Operation.WRITE, written, datetime.now(UTC), "")])
    question = check(view, BLOCKABLE, unlimited(), object_="doc:1", relation="can", user="user:eve", context={})
    assert question.run() is DENIED


def test_contextual_tuples_do_not_copy_wide_rows() -> None:
    """One contextual tuple on a group of a hundred thousand costs no copy of the group."""
    group = model("""
model
  schema 1.1
type user
type group
  relations
    define member: [user]
""")
    index = TupleIndex(1)
    index.load(RelationshipTuple("group:all", "member", f"user:{n}") for n in range(100_000))
    view = Overlay(index, tuples("group:all#member@user:guest"))
    for user in ("user:5", "user:guest"):
        budget = Budget(lambda: pytest.fail("too many steps"), steps=100)
        question = check(view, group, budget, object_="group:all", relation="member", user=user, context={})
        assert question.run() is ALLOWED
    rows = view.forward(next(iter(index._tables)))
    assert rows[0] is index._tables[next(iter(index._tables))].forward


def test_missing_rows_are_not_asked_about_again_and_again() -> None:
    """Gates that share what they miss are evaluated once a round, however they are nested."""
    mirrored = model("""
model
  schema 1.1
type user
type n
  relations
    define parent: [n]
    define base: [user]
    define v: base or (v from parent and w from parent)
    define w: base or (w from parent and v from parent)
""")
    looks = 0

    def look() -> None:
        nonlocal looks
        looks += 1
        assert looks < 50, "exponential"

    facts = [RelationshipTuple(f"n:{n}", "parent", f"n:{n + 1}") for n in range(20)]
    view = HeldBackReader([*facts, *tuples("n:20#base@user:a")]).view()
    question = check(view, mirrored, Budget(look), object_="n:0", relation="v", user="user:a", context={})
    value = question.run()
    for _ in range(100):
        if value in {ALLOWED, DENIED}:
            break
        bring(view)
        value = question.run()
    assert value is ALLOWED


def test_large_contexts_are_paid_for() -> None:
    """Evaluating conditions over a large context spends the budget, so that deadlines hold."""
    listed = model("""
model
  schema 1.1
type user
type doc
  relations
    define viewer: [user with among]
condition among(s: string, l: list<string>) {
  s in l
}
""")
    facts = [conditional(f"doc:{n}#viewer@user:a", "among", s="x") for n in range(50)]

    def look() -> None:
        raise DeadlineExceeded("now")

    world = World(listed, facts)
    context = {"l": ["y" * 20] * 20_000}
    budget = Budget(look, steps=10_000)
    question = check(world.view(), listed, budget, object_="doc:1", relation="viewer", user="user:a", context=context)
    question.run()
    assert budget.left < 10_000 - 5_000
