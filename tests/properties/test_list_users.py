"""ListUsers beside typed wildcards: exact on random set expressions over one object."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from authz.model.compile import compile_model
from authz.tuples import RelationshipTuple, UserKind
from tests.support.world import World

BASES = ("b0", "b1", "b2", "b3")
PEOPLE = ("1", "2", "3")
EXAMPLES = int(os.environ.get("AUTHZ_PROPERTY_EXAMPLES", "300"))

expressions = st.recursive(
    st.sampled_from(BASES),
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["union", "intersection"]), inner, inner),
        st.tuples(st.just("difference"), inner, inner),
    ),
    max_leaves=6,
)
facts = st.sets(st.tuples(st.sampled_from(BASES), st.sampled_from([*PEOPLE, "*"])), max_size=8)


def rewrite(expression: Any) -> dict[str, Any]:
    if isinstance(expression, str):
        return {"computedUserset": {"relation": expression}}
    operator, left, right = expression
    if operator == "difference":
        return {"difference": {"base": rewrite(left), "subtract": rewrite(right)}}
    return {operator: {"child": [rewrite(left), rewrite(right)]}}


def holds(expression: Any, stored: set[tuple[str, str]], user: str) -> bool:
    if isinstance(expression, str):
        return (expression, user) in stored or (expression, "*") in stored
    operator, left, right = expression
    one, two = holds(left, stored, user), holds(right, stored, user)
    return {"union": one or two, "intersection": one and two, "difference": one and not two}[operator]


@settings(max_examples=3 * EXAMPLES, deadline=None, print_blob=True)
@given(expressions, facts)
def test_listed_or_covered(expression: Any, stored: set[tuple[str, str]]) -> None:
    """Whoever is listed is in the set; whoever is in it is listed or covered by the listed wildcard."""
    relations: dict[str, Any] = {name: {"this": {}} for name in BASES}
    references = [{"type": "user"}, {"type": "user", "wildcard": {}}]
    metadata = {name: {"directly_related_user_types": references} for name in BASES}
    document = {
        "type": "doc",
        "relations": {**relations, "r": rewrite(expression)},
        "metadata": {"relations": metadata},
    }
    model = compile_model("M", {"schema_version": "1.1", "type_definitions": [{"type": "user"}, document]})
    world = World(model, [RelationshipTuple("doc:1", relation, f"user:{user}") for relation, user in sorted(stored)])
    found = world.list_users("doc:1", "r", UserKind("user"))
    assert len(found) == len(set(found))
    everybody = holds(expression, stored, "*")
    assert ("user:*" in found) == everybody
    for user in PEOPLE:
        is_in = holds(expression, stored, user)
        assert world.check(f"user:{user}", "r", "doc:1") == is_in
        if f"user:{user}" in found:
            assert is_in
            assert any(user == named for _, named in stored)
        elif is_in:
            assert everybody
