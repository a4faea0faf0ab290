"""Listings that leave out what a condition without a value decides: just what Check allows, whatever is open."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from authz.engine.list_objects import ListObjects, list_objects
from authz.engine.list_users import ListUsers, list_users
from authz.tuples import UserKind
from tests.properties.test_engine import Asked, many, universe
from tests.support.strategies import RELATIONS, TYPES, Scenario, contexts, objects, scenarios, users
from tests.support.world import settle, unlimited


def run(asked: Asked, prepare: Any, **question: Any) -> tuple[list[str], bool]:
    """What a listing finds, and whether it says that it left something out."""
    view, found = asked.world.view(asked.contextual), list[str]()
    walk: ListObjects | ListUsers | None = prepare(
        view,
        asked.world.model,
        unlimited(),
        lambda name: found.append(name) is None,
        context=asked.context,
        leaves_out=True,
        **question,
    )
    if walk is None:
        return found, False
    settle(view, walk.run)
    return found, walk.left_out is not None


@many
@given(scenarios(), contexts, users(), st.data())
def test_objects_are_what_check_allows(
    scenario: Scenario, context: dict[str, Any], user: str, data: st.DataObject
) -> None:
    """Every object that Check allows is found, once, and no other; what stayed open is owned up to."""
    asked = Asked(scenario, context, data)
    relation, type_ = data.draw(st.sampled_from(RELATIONS)), data.draw(st.sampled_from(TYPES[1:]))
    certain, possible = asked.reference.list_objects(user, relation, type_)
    found, has_left_out = run(asked, list_objects, type_=type_, relation=relation, user=user)
    assert sorted(found) == sorted(certain)
    for name in () if has_left_out else possible - certain:
        assert asked.reference.check(user, relation, name) == "paradox"


@many
@given(scenarios(), contexts, objects(), st.data())
def test_users_are_whom_check_allows(
    scenario: Scenario, context: dict[str, Any], name: str, data: st.DataObject
) -> None:
    """Nobody is listed whom Check does not allow; whom it allows is listed or covered, unless something stayed open."""
    asked = Asked(scenario, context, data)
    relation, kind = data.draw(st.sampled_from(RELATIONS)), UserKind(data.draw(st.sampled_from(TYPES)))
    found, has_left_out = run(asked, list_users, object_=name, relation=relation, kind=kind)
    assert len(found) == len(set(found))
    for user in universe(asked.tuples, kind, name) | set(found):
        verdict = asked.reference.check(user, relation, name)
        if user in found:
            assert verdict == "allowed", user
        elif verdict == "allowed" and not has_left_out:
            assert f"{kind.type}:*" in found, user
