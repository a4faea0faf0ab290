"""The short way, the general evaluation and the naive evaluator agree, whatever is remembered and however data move."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from authz.engine import check as checking
from authz.engine import flattened
from authz.engine.check import Check, condition_failed
from authz.engine.evaluation import Evaluation
from authz.engine.kleene import ALLOWED, CONDITIONAL
from authz.engine.list_objects import list_objects
from authz.engine.nodes import lean_for
from authz.engine.scope import Scope
from authz.errors import ConditionFailed
from authz.index.memory import TupleIndex
from authz.index.overlay import Overlay
from authz.index.rows import View
from authz.model.compile import CompiledModel, compile_model
from authz.model.plan import plans_for
from authz.store.api import Change, Operation
from authz.tuples import RelationshipTuple, TupleKey, object_type, user_kind
from tests.properties.test_engine import agree, reference_for
from tests.support.models import model, tuples
from tests.support.strategies import RELATIONS, TYPES, Scenario, contexts, objects, scenarios, tuples_of, users
from tests.support.world import unlimited

EXAMPLES = int(os.environ.get("AUTHZ_PROPERTY_EXAMPLES", "300"))
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@st.composite
def plain_scenarios(draw: st.DrawFn) -> Scenario:
    """A scenario, more often than not without conditions: only those go the short way everywhere."""
    scenario = draw(scenarios())
    if draw(st.integers(0, 3)) == 0:
        return scenario
    body = copy.deepcopy(scenario.body)
    for definition in body["type_definitions"]:
        for details in (definition.get("metadata") or {}).get("relations", {}).values():
            plain = [{**each, "condition": ""} for each in details["directly_related_user_types"]]
            details["directly_related_user_types"] = [
                each for position, each in enumerate(plain) if each not in plain[:position]
            ]
    compiled = compile_model("MODEL", body)
    return Scenario(body, compiled, tuple(each._replace(condition=None) for each in scenario.tuples))


@contextmanager
def limits(max_groups: int, worth: int) -> Iterator[None]:
    """Other limits for what is gathered in passing and what is remembered."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flattened, "MAX_GROUPS", max_groups)
        patch.setattr(flattened, "MAX_REMEMBERED", 40)
        patch.setattr(checking, "WORTH_REMEMBERING", worth)
        yield


def general(view: View, compiled: CompiledModel, question: tuple[str, str, str], context: dict[str, Any]) -> str:
    """The answer of the general evaluation."""
    object_, relation, user = question
    plans = plans_for(compiled, user_kind(user))
    plan = plans.plan(object_type(object_), relation)
    if plan is None:
        return "denied"
    scope = Scope(view, plans, user, context, unlimited())
    value = Evaluation(scope).value(scope.binder.bind(plan), scope.id_of(object_))
    if value is CONDITIONAL:
        assert condition_failed(scope)
        return "conditional"
    return "allowed" if value is ALLOWED else "denied"


def short(view: View, compiled: CompiledModel, question: tuple[str, str, str], context: dict[str, Any]) -> str:
    """The answer that callers get."""
    try:
        return "allowed" if Check(view, compiled, unlimited(), question, context).decide() else "denied"
    except ConditionFailed:
        return "conditional"


class Moving:
    """A live index that moves, and what it holds."""

    def __init__(self, stored: tuple[RelationshipTuple, ...], decisions: int) -> None:
        self.index = TupleIndex(7, decisions=decisions)
        self.index.load(stored)
        self.held: dict[TupleKey, RelationshipTuple] = {each.key: each for each in stored}

    def toggle(self, given: tuple[RelationshipTuple, ...]) -> None:
        """Delete the tuples that are held, write the others: one revision."""
        changes = []
        for number, each in enumerate(given):
            old = self.held.pop(each.key, None)
            operation = Operation.WRITE if old is None else Operation.DELETE
            changes.append(Change(self.index.revision + 1, number, operation, old or each, NOW, ""))
            if old is None:
                self.held[each.key] = each
        self.index.apply(changes)


@settings(max_examples=EXAMPLES // 2, deadline=None, print_blob=True)
@given(plain_scenarios(), contexts, st.data())
def test_all_ways_agree_while_tuples_change(scenario: Scenario, context: dict[str, Any], data: st.DataObject) -> None:
    """The same questions asked again and again, over the live index, a snapshot and contextual tuples."""
    moving = Moving(scenario.tuples, data.draw(st.sampled_from([0, 2, 6, 1000])))
    asked = data.draw(st.lists(st.tuples(objects(), st.sampled_from(RELATIONS), users()), min_size=1, max_size=5))
    with limits(data.draw(st.sampled_from([0, 1, 3, 100])), data.draw(st.sampled_from([0, 0, 8]))):
        for _ in range(data.draw(st.integers(1, 3))):
            reference = reference_for(scenario, tuple(moving.held.values()), context)
            wanted = {each: reference.check(each[2], each[1], each[0]) for each in asked}
            with moving.index.snapshot() as snapshot:
                for question in asked:
                    for view in (moving.index, snapshot, moving.index):
                        got = short(view, scenario.model, question, context)
                        assert agree(got, wanted[question]), (question, wanted[question], view)
                        assert got == general(view, scenario.model, question, context)
                moving.toggle(data.draw(tuples_of(scenario.model, 4)))
                note(f"{moving.index.revision}: {list(moving.held)}")
                extra = data.draw(tuples_of(scenario.model, 3))
                over = {**moving.held, **{each.key: each for each in extra}}
                laid = reference_for(scenario, tuple(over.values()), context)
                for question in asked:
                    short(moving.index, scenario.model, question, context)
                    assert agree(short(snapshot, scenario.model, question, context), wanted[question])
                    got = short(Overlay(moving.index, extra), scenario.model, question, context)
                    assert agree(got, laid.check(question[2], question[1], question[0]))


@settings(max_examples=EXAMPLES // 2, deadline=None, print_blob=True)
@given(plain_scenarios(), users(), st.data())
def test_lists_agree_while_tuples_change(scenario: Scenario, user: str, data: st.DataObject) -> None:
    """ListObjects over the live index, whose gates go the short way, gives what the naive evaluator allows."""
    moving = Moving(scenario.tuples, 0)
    relation, type_ = data.draw(st.sampled_from(RELATIONS)), data.draw(st.sampled_from(TYPES[1:]))
    with limits(data.draw(st.sampled_from([1, 100])), 0):
        for _ in range(3):
            certain, possible = reference_for(scenario, tuple(moving.held.values()), {}).list_objects(
                user, relation, type_
            )
            found: list[str] = []
            walk = list_objects(
                moving.index,
                scenario.model,
                unlimited(),
                lambda name, found=found: found.append(name) is None,  # type: ignore[misc]
                type_=type_,
                relation=relation,
                user=user,
                context={},
            )
            try:
                assert walk is None or walk.run() is ALLOWED
            except ConditionFailed:
                assert possible > certain
            else:
                assert sorted(found) == sorted(certain)
            moving.toggle(data.draw(tuples_of(scenario.model, 5)))


GROUPS = model("""
model
  schema 1.1
type user
type team
  relations
    define member: [user, team#member, group#member]
type group
  relations
    define member: [user, user:*, group#member, team#member]
    define banned: [user, group#member]
    define active: member but not banned
type doc
  relations
    define viewer: [user, group#member, team#member]
    define active: [group#active]
    define both: viewer and active
    define either: viewer but not active
    define one: (viewer but not active) or (active but not viewer)
""")
NAMES = [f"{type_}:{number}" for type_ in ("group", "team") for number in range(4)]
PEOPLE = ["user:a", "user:b", "user:c"]
QUESTIONS = [
    (name, relation, user)
    for name in ("doc:1", "doc:2", "group:0", "team:1")
    for relation in GROUPS.types[object_type(name)]
    for user in (*PEOPLE, "user:nobody")
]


@st.composite
def memberships(draw: st.DrawFn) -> RelationshipTuple:
    """One tuple of the model above."""
    name = draw(st.sampled_from([*NAMES, "doc:1", "doc:2"]))
    type_ = object_type(name)
    of_type = sorted(each for each in GROUPS.allowed if each[0] == type_)
    _, relation, kind, _ = draw(st.sampled_from(of_type))
    if kind.wildcard:
        return RelationshipTuple(name, relation, "user:*")
    if not kind.relation:
        return RelationshipTuple(name, relation, draw(st.sampled_from(PEOPLE)))
    group = draw(st.sampled_from([each for each in NAMES if object_type(each) == kind.type]))
    return RelationshipTuple(name, relation, f"{group}#{kind.relation}")


@settings(max_examples=EXAMPLES, deadline=None, print_blob=True)
@given(st.lists(memberships(), max_size=30), st.lists(st.lists(memberships(), max_size=3), max_size=4), st.data())
def test_groups_are_flattened_exactly(
    stored: list[RelationshipTuple], steps: list[list[RelationshipTuple]], data: st.DataObject
) -> None:
    """Groups in groups, in circles, with everybody in them, few or too many, while members come and go."""
    moving = Moving(tuple({each.key: each for each in stored}.values()), data.draw(st.sampled_from([0, 4, 1000])))
    with limits(data.draw(st.sampled_from([1, 3, 100])), 0):
        for step in [[], *steps]:
            with moving.index.snapshot() as snapshot:
                before = {question: general(snapshot, GROUPS, question, {}) for question in QUESTIONS}
                moving.toggle(tuple({each.key: each for each in step}.values()))
                for question in QUESTIONS:
                    wanted = general(moving.index, GROUPS, question, {})
                    assert short(moving.index, GROUPS, question, {}) == wanted, question
                    assert short(moving.index, GROUPS, question, {}) == wanted, question
                    assert short(snapshot, GROUPS, question, {}) == before[question], question


def test_groups_of_many_relations() -> None:
    """Groups whose members come through more computed relations than one plan holds."""
    chain = "\n".join(f"    define r{number}: [user] or r{number + 1}" for number in range(12))
    wide = model(f"""
model
  schema 1.1
type user
type group
  relations
    define member: [group#member] or r0
{chain}
    define r12: [user]
type doc
  relations
    define viewer: [group#member]
""")
    index = TupleIndex(1)
    index.load(tuples("doc:1#viewer@group:1#member", "group:1#member@group:2#member", "group:2#r12@user:a"))
    for user, wanted in (("user:a", "allowed"), ("user:b", "denied")):
        assert short(index, wide, ("doc:1", "viewer", user), {}) == wanted


def test_decisions_that_hang_on_more_than_tuples_are_not_kept() -> None:
    """Neither those of a request that brings a context, nor those of a relation that knows conditions."""
    listed = model("""
model
  schema 1.1
type user
type doc
  relations
    define owner: [user with among]
    define viewer: [user, doc#viewer] or owner
    define plain: [user, doc#plain]
condition among(s: string, l: list<string>) {
  s in l
}
""")
    index = TupleIndex(1)
    index.load(tuples(*(f"doc:{each}#plain@doc:{each + 1}#plain" for each in range(9)), "doc:9#plain@user:a"))
    index.load(tuples(*(f"doc:{each}#viewer@doc:{each + 1}#viewer" for each in range(9)), "doc:9#viewer@user:a"))
    for relation, context, kept in (("plain", {"l": []}, 0), ("viewer", {}, 0), ("plain", {}, 1)):
        with limits(1, 0):
            assert Check(index, listed, unlimited(), ("doc:0", relation, "user:a"), context).decide()
        assert len(index.decisions) == kept


def test_groups_are_known_from_the_users_side() -> None:
    """A check through nested groups visits none of the groups below the one that a tuple names."""
    nested = [f"group:{number}#member@group:{number + 1}#member" for number in range(50)]
    index = TupleIndex(1)
    index.load(tuples("doc:1#viewer@group:0#member", "group:50#member@user:a", *nested))
    budget = unlimited()
    assert Check(index, GROUPS, budget, ("doc:1", "viewer", "user:a"), {}).decide()
    assert not Check(index, GROUPS, budget, ("doc:1", "viewer", "user:b"), {}).decide()
    assert budget.spent == 2
    assert lean_for(index, GROUPS) is lean_for(index, GROUPS)
