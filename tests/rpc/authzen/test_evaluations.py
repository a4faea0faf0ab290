"""Many evaluations: defaults, semantics, and items that cannot be answered."""

from __future__ import annotations

from typing import Any

import pytest

from authz.commands.limits import Limits
from authz.store.sql import SqlDatastore
from tests.rpc.authzen.conftest import MODEL, tuple_
from tests.rpc.authzen.support import Json, World, access, entity, new_world

pytestmark = pytest.mark.anyio

ALLOWED, DENIED = {"decision": True}, {"decision": False}


def viewing(*resources: str, **options: Any) -> Json:
    """May ann view these."""
    items = [{"resource": entity(each)} for each in resources]
    return {"subject": entity("user:ann"), "action": {"name": "viewer"}, "evaluations": items, **options}


async def decisions(world: World, body: Json) -> list[bool]:
    """The decisions of an answer."""
    answer = await world.ask("Evaluations", body)
    assert answer.failure is None, answer.failure
    assert answer.body.keys() == {"evaluations"}
    return [each["decision"] for each in answer.body["evaluations"]]


async def test_answers_come_in_the_order_of_the_request(world: World) -> None:
    """
    Each item has its decision at its place, and the answer has no decision of its own.
    """
    answer = await world.ask("Evaluations", viewing("doc:none", "doc:plan", "doc:news"))
    assert answer.body == {"evaluations": [DENIED, ALLOWED, ALLOWED]}


async def test_without_evaluations_it_is_a_single_one(world: World) -> None:
    """
    When the list is absent, null or empty, the request is one evaluation, and is answered and refused like one.
    """
    for none in ({}, {"evaluations": []}, {"evaluations": None}):
        assert (await world.ask("Evaluations", {**access("user:ann", "viewer", "doc:plan"), **none})).body == ALLOWED
        failure = (await world.ask("Evaluations", {"subject": entity("user:ann"), **none})).failure
        assert failure is not None
        assert failure.message == "`action` is missing"


async def test_an_item_wins_over_the_defaults(world: World) -> None:
    """
    What an item names replaces the default as a whole; what it lacks comes from there, the context too.
    """
    body = {
        **access("user:ann", "office", "doc:plan"),
        "context": {"ip": "10.0.0.1"},
        "evaluations": [
            {},
            {"context": {"else": 1}},
            {"context": {}},
            {"resource": entity("doc:note")},
            {"subject": entity("user:bob")},
            {"action": {"name": "owner"}},
            {"context": {"ip": "10.0.0.1"}, "action": {"name": "editor"}},
        ],
    }
    assert await decisions(world, body) == [True, False, False, True, False, True, True]


async def test_a_part_of_an_item_is_not_mended_from_the_default(world: World) -> None:
    """
    An entity without an id has none, though the default has one: nobody gets the rights of somebody else.
    """
    body = {
        **access("user:ann", "viewer", "doc:plan"),
        "evaluations": [
            {"subject": {"type": "user"}},
            {"subject": None},
            {"subject": {}},
            {"resource": {"id": "plan"}},
        ],
    }
    assert await decisions(world, body) == [False] * 4


@pytest.mark.parametrize(
    ("semantic", "resources", "expected"),
    [
        ("execute_all", ("doc:plan", "doc:x", "doc:news"), [True, False, True]),
        ("", ("doc:plan", "doc:x", "doc:news"), [True, False, True]),
        ("deny_on_first_deny", ("doc:plan", "doc:x", "doc:news"), [True, False]),
        ("deny_on_first_deny", ("doc:plan", "doc:news"), [True, True]),
        ("deny_on_first_deny", ("nothing:x", "doc:news"), [False]),
        ("permit_on_first_permit", ("doc:x", "doc:plan", "doc:y"), [False, True]),
        ("permit_on_first_permit", ("nothing:x", "doc:x"), [False, False]),
    ],
)
async def test_the_answer_ends_with_the_item_that_decides(
    world: World, semantic: str, resources: tuple[str, ...], expected: list[bool]
) -> None:
    """
    A failure counts as a denial; the item that decides is the last one of the answer.
    """
    assert await decisions(world, viewing(*resources, options={"evaluations_semantic": semantic})) == expected


async def test_an_unknown_semantic_is_refused(world: World) -> None:
    """
    Semantics that there are not are an error of the request.
    """
    for wrong in ("all", "EXECUTE_ALL", 5):
        answer = await world.ask("Evaluations", viewing("doc:plan", options={"evaluations_semantic": wrong}))
        assert answer.failure is not None
        assert answer.failure.status.name == "INVALID_ARGUMENT"


@pytest.mark.parametrize(
    ("item", "status", "told"),
    [
        (None, 400, "`evaluation` is null"),
        (5, 400, "`evaluation` is a number"),
        ("doc:plan", 400, "`evaluation` is a string"),
        ([], 400, "`evaluation` is an array"),
        ({}, 400, "`resource` is missing"),
        ({"resource": "doc:plan"}, 400, "`resource` is a string: expected an object"),
        ({"resource": None}, 400, "`resource` is null"),
        ({"resource": {"type": "doc"}}, 400, "`resource.id` is missing"),
        ({"resource": {"type": "doc", "id": 7}}, 400, "`resource.id` is a number"),
        ({"resource": entity("doc:plan"), "subject": None}, 400, "`subject` is null"),
        ({"resource": entity("doc:plan"), "context": "x"}, 400, "`context` is a string"),
        ({"resource": {**entity("doc:plan"), "properties": 1}}, 400, "`resource.properties` is a number"),
        ({"resource": entity("doc:plan"), "action": {"name": True}}, 400, "`action.name` is a boolean"),
        ({"resource": entity("nothing:plan")}, 404, "type `nothing` is not defined"),
        ({"resource": entity("doc:plan"), "action": {"name": "fly"}}, 404, "action `fly` is not defined"),
        ({"resource": {"type": "doc", "id": "plan#owner"}}, 400, "id `plan#owner` of the resource"),
        ({"resource": entity("doc:plan"), "subject": {"type": "user", "id": "*"}}, 400, "id `*` of the subject"),
        ({"resource": entity("doc:plan"), "action": {"name": "office"}}, 400, "needs parameters"),
    ],
)
async def test_one_bad_item_leaves_the_others_alone(world: World, item: object, status: int, told: str) -> None:
    """
    An item that cannot be answered is denied with an error in its context; those around it are answered.
    """
    body = viewing("doc:plan", "doc:news")
    body["evaluations"].insert(1, item)
    answer = await world.ask("Evaluations", body)
    first, bad, last = answer.body["evaluations"]
    assert (first, last) == (ALLOWED, ALLOWED)
    assert bad["decision"] is False
    assert bad["context"]["error"]["status"] == status
    assert told in bad["context"]["error"]["message"]
    assert answer.exchange is not None
    assert answer.exchange.decisions == [True, None, True]
    assert len(answer.exchange.keys) == 3


async def test_a_default_that_cannot_be_used_is_the_fault_of_those_who_need_it(world: World) -> None:
    """
    Items that bring their own part do not care about a default without an id.
    """
    body = {
        "subject": {"type": "user"},
        "action": {"name": "viewer"},
        "resource": entity("doc:plan"),
        "evaluations": [{}, {"subject": entity("user:ann")}],
    }
    assert await decisions(world, body) == [False, True]


async def test_reasons_say_why_the_answer_ends(world: World) -> None:
    """
    With reasons every item says why, and the one that decides names the semantic.
    """
    options = {"evaluations_semantic": "deny_on_first_deny", "reasons": True}
    answer = await world.ask("Evaluations", viewing("doc:plan", "doc:x", "doc:y", options=options))
    first, last = answer.body["evaluations"]
    assert first["context"]["code"] == "allowed"
    assert "reason" not in first["context"]
    assert last["context"]["code"] == "denied"
    assert last["context"]["reason"] == "deny_on_first_deny"


async def test_batches_are_as_large_as_the_setting_says(sqlite_datastore: SqlDatastore) -> None:
    """
    More than OpenFGA's fifty items are one request with one answer; more than the setting are refused.
    """
    limits = Limits(max_checks_per_batch=50, max_evaluations=300)
    world = await new_world(sqlite_datastore, MODEL, tuple_("doc:7", "owner", "user:ann"), limits=limits)
    asked = [f"doc:{number % 10}" for number in range(300)]
    assert await decisions(world, viewing(*asked)) == [each == "doc:7" for each in asked]
    failure = (await world.ask("Evaluations", viewing(*asked, "doc:1"))).failure
    assert failure is not None
    assert failure.reason == "exceeded_entity_limit"
    assert "at most 300" in failure.message
