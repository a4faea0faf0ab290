"""Requests of any shape: an answer or a clear refusal, and never a right that nobody gave."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.rpc.authzen.support import World

pytestmark = pytest.mark.anyio

REFUSALS = {"INVALID_ARGUMENT"}
CALLS = ("Evaluation", "Evaluations", "SubjectSearch", "ResourceSearch", "ActionSearch")

words = st.sampled_from(
    ["user", "doc", "group", "ann", "plan", "news", "viewer", "owner", "*", "eng#member", "", "\u0000"]
)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 2**70), st.floats(allow_nan=False), words, st.text(max_size=5)
)
values: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(words, st.sampled_from(["type", "id", "name", "properties"])), inner, max_size=3),
    ),
    max_leaves=8,
)
entities = st.one_of(
    st.fixed_dictionaries({"type": words, "id": words}, optional={"properties": values}),
    st.fixed_dictionaries({}, optional={"type": values, "id": values, "properties": values}),
    values,
)
actions = st.one_of(
    st.fixed_dictionaries({"name": words}), st.fixed_dictionaries({}, optional={"name": values}), values
)
parts = {"subject": entities, "action": actions, "resource": entities, "context": values}
pages = st.fixed_dictionaries({}, optional={"token": values, "limit": values})
bodies = st.fixed_dictionaries(
    {},
    optional={
        **parts,
        "evaluations": st.one_of(
            st.lists(st.one_of(st.fixed_dictionaries({}, optional=parts), values), max_size=4), values
        ),
        "options": st.one_of(
            st.fixed_dictionaries({}, optional={"evaluations_semantic": words, "reasons": values}), values
        ),
        "page": st.one_of(pages, values),
    },
)
whole = st.fixed_dictionaries(
    {"subject": entities, "action": actions, "resource": entities}, optional={"context": values}
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(CALLS), st.one_of(bodies, whole))
async def test_any_request_is_answered_or_refused(world: World, name: str, body: dict[str, Any]) -> None:
    """
    Whatever comes, the answer has the form of the standard, or the request is refused as what it is: malformed.
    """
    answer = await world.ask(name, body)
    if answer.failure is not None:
        assert answer.failure.status.name in REFUSALS, answer.failure
        return
    if "results" in answer.body:
        assert all(each.get("id") != "*" for each in answer.body["results"])
        return
    found = answer.body.get("evaluations", [answer.body])
    assert all(isinstance(each["decision"], bool) for each in found)
    if "evaluations" in answer.body:
        assert len(found) <= len(body["evaluations"])


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.fixed_dictionaries({}, optional=parts), min_size=1, max_size=5),
    st.fixed_dictionaries({}, optional=parts),
)
async def test_a_batch_is_its_items_one_by_one(
    world: World, items: list[dict[str, Any]], defaults: dict[str, Any]
) -> None:
    """
    Each item is decided as it would be alone, with the defaults in the place of what it lacks.
    """
    whole_batch = await world.ask("Evaluations", {**defaults, "evaluations": items})
    if whole_batch.failure is not None:
        return
    for item, found in zip(items, whole_batch.body["evaluations"], strict=True):
        alone = await world.ask("Evaluation", {**defaults, **item})
        assert found["decision"] is (alone.failure is None and alone.body["decision"])
