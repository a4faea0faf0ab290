"""The engine agrees with a naive evaluator on random models, tuples, conditions and contexts."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from hypothesis import given, note, settings
from hypothesis import strategies as st

from authz.errors import ConditionFailed
from authz.tuples import RelationshipTuple, UserKind, object_type, split_userset
from tests.support.reference import Fact, Reference
from tests.support.rows import HeldBackReader
from tests.support.strategies import (
    RELATIONS,
    TYPES,
    Scenario,
    contexts,
    naive_condition,
    objects,
    scenarios,
    tuples_of,
    users,
)
from tests.support.world import World

EXAMPLES = int(os.environ.get("AUTHZ_PROPERTY_EXAMPLES", "300"))
many = settings(max_examples=EXAMPLES, deadline=None, print_blob=True)


def reference_for(scenario: Scenario, tuples: tuple[RelationshipTuple, ...], context: dict[str, Any]) -> Reference:
    facts = [
        Fact(each.object, each.relation, each.user, tuple(each.condition) if each.condition else None)
        for each in tuples
    ]
    return Reference(scenario.body, facts, lambda name, stored: naive_condition(name, {**context, **stored}))


class Asked:
    """One scenario asked three ways: stored, contextual, and through a reader that holds rows back."""

    def __init__(self, scenario: Scenario, context: dict[str, Any], data: st.DataObject) -> None:
        self.context = context
        stored, contextual = scenario.tuples, ()
        self.way = data.draw(st.sampled_from(["stored", "contextual", "mixed", "held back", "held back, mixed"]))
        if self.way == "contextual":
            stored, contextual = (), scenario.tuples
        elif self.way.endswith("mixed"):
            contextual = data.draw(tuples_of(scenario.model, 8))
        self.contextual = contextual
        if self.way.startswith("held back"):
            reader = HeldBackReader(stored)
            self.world = World(scenario.model, view=reader.view)
        else:
            self.world = World(scenario.model, stored)
        effective = {each.key: each for each in stored} | {each.key: each for each in contextual}
        self.tuples = tuple(effective.values())
        self.reference = reference_for(scenario, self.tuples, context)
        note(f"way: {self.way}; contextual: {contextual}; context: {context}")

    def check(self, user: str, relation: str, name: str) -> str:
        try:
            allowed = self.world.check(user, relation, name, context=self.context, contextual=self.contextual)
        except ConditionFailed:
            return "conditional"
        return "allowed" if allowed else "denied"


def agree(got: str, wanted: str) -> bool:
    """A paradox is denied; where conditions without a value meet one, both refusals are right."""
    return got == wanted or (wanted == "paradox" and got in {"denied", "conditional"})


@many
@given(scenarios(), contexts, st.data())
def test_check_is_the_set_semantics(scenario: Scenario, context: dict[str, Any], data: st.DataObject) -> None:
    """Check answers like the fixpoint of the model over the tuples, for every kind of user."""
    asked = Asked(scenario, context, data)
    for user in data.draw(st.lists(users(), min_size=1, max_size=4, unique=True)):
        for relation in RELATIONS:
            name = data.draw(objects())
            wanted = asked.reference.check(user, relation, name)
            assert agree(asked.check(user, relation, name), wanted), (user, relation, name, wanted)


@many
@given(scenarios(), contexts, users(), st.data())
def test_list_objects_is_what_check_allows(
    scenario: Scenario, context: dict[str, Any], user: str, data: st.DataObject
) -> None:
    """ListObjects gives each object that the set semantics allows once, and no other; it fails only if one is open."""
    asked = Asked(scenario, context, data)
    relation, type_ = data.draw(st.sampled_from(RELATIONS)), data.draw(st.sampled_from(TYPES[1:]))
    certain, possible = asked.reference.list_objects(user, relation, type_)
    try:
        found = asked.world.list_objects(user, relation, type_, context=context, contextual=asked.contextual)
    except ConditionFailed:
        assert possible > certain
        return
    assert sorted(found) == sorted(certain)
    for name in possible - certain:
        assert asked.reference.check(user, relation, name) == "paradox"


@many
@given(scenarios(), contexts, objects(), st.data())
def test_list_users_is_what_check_allows(
    scenario: Scenario, context: dict[str, Any], name: str, data: st.DataObject
) -> None:
    """ListUsers gives users that Check allows, once each; all that it allows are listed or covered by a wildcard."""
    asked = Asked(scenario, context, data)
    relation = data.draw(st.sampled_from(RELATIONS))
    kind = UserKind(data.draw(st.sampled_from(TYPES)))
    if kind.type != "user" and data.draw(st.booleans()):
        kind = UserKind(kind.type, data.draw(st.sampled_from(RELATIONS)))
    try:
        found = asked.world.list_users(name, relation, kind, context=context, contextual=asked.contextual)
    except ConditionFailed:
        assert None in asked.reference.values.values()
        return
    assert len(found) == len(set(found))
    for user in universe(asked.tuples, kind, name) | set(found):
        verdict = asked.reference.check(user, relation, name)
        if user in found:
            assert verdict == "allowed", user
        elif verdict == "allowed":
            assert f"{kind.type}:*" in found, user
            assert not kind.relation


def universe(tuples: tuple[RelationshipTuple, ...], kind: UserKind, name: str) -> set[str]:
    """Every user of a kind that could be in an answer, one that no tuple names, and everybody."""
    names = {each.object for each in tuples} | {split_userset(each.user)[0] for each in tuples} | {name}
    of_type = {each for each in names if object_type(each) == kind.type and not each.endswith(":*")}
    if kind.relation:
        return {f"{each}#{kind.relation}" for each in of_type}
    return of_type | {f"{kind.type}:unnamed", f"{kind.type}:*"}


@many
@given(scenarios(), contexts, st.data())
def test_rows_that_come_late_change_nothing(scenario: Scenario, context: dict[str, Any], data: st.DataObject) -> None:
    """All calls answer the same over a reader that gives rows only when asked as over the resident index."""
    resident = World(scenario.model, scenario.tuples)
    late = World(scenario.model, view=HeldBackReader(scenario.tuples).view)
    user, name, relation = data.draw(users()), data.draw(objects()), data.draw(st.sampled_from(RELATIONS))
    type_, kind = data.draw(st.sampled_from(TYPES[1:])), UserKind(data.draw(st.sampled_from(TYPES)))
    questions: list[Callable[[World], Any]] = [
        lambda world: world.check(user, relation, name, context=context),
        lambda world: sorted(world.list_objects(user, relation, type_, context=context)),
        lambda world: sorted(world.list_users(name, relation, kind, context=context)),
        lambda world: world.expand(relation, name),
    ]
    for ask in questions:
        assert outcome(late, ask) == outcome(resident, ask)


def outcome(world: World, ask: Callable[[World], Any]) -> Any:
    try:
        return ask(world)
    except ConditionFailed:
        return ConditionFailed
