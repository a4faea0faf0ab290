"""What once went wrong in systems of this kind goes right here: every call that can answer agrees."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import ParseDict

from authz._proto.openfga.v1 import openfga_service_pb2 as pb
from tests.security.scenarios import SCENARIOS, Scenario
from tests.wire.conftest import client, settings  # noqa: F401 - fixtures
from tests.wire.support import Client, check_request, refusal, tuple_key

pytestmark = pytest.mark.anyio

CONDITIONED = """
model
  schema 1.1
type user
type document
  relations
    define parent: [document with matches]
    define owner: [user]
    define viewer: [user with matches, user:* with matches]
    define reader: owner or reader from parent
condition matches(given: string, wanted: string) {
  given == wanted
}
"""


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.advisory.split(":")[0])
async def test_answers_of_check_and_lists(client: Client, scenario: Scenario) -> None:  # noqa: F811 - the fixture
    """
    Check is right twice in a row, and the lists hold exactly what Check allows; so is BatchCheck in any order.
    """
    store = await client.world(scenario.model)
    await client.put(store, *scenario.facts)
    expected = dict.fromkeys(scenario.allowed, True) | dict.fromkeys(scenario.denied, False)
    for _ in range(2):
        assert {question: await client.allows(store, question) for question in expected} == expected
    for order in (list(expected), list(reversed(expected))):
        assert await batch(client, store, [(question, None) for question in order]) == [expected[q] for q in order]
    for question, is_allowed in expected.items():
        key = tuple_key(question)
        wanted = pb.ListObjectsRequest(
            store_id=store, type=key.object.split(":")[0], relation=key.relation, user=key.user
        )
        listed = (await client.stub.ListObjects(wanted)).objects
        assert (key.object in listed) == is_allowed, question


async def batch(
    client: Client,  # noqa: F811 - the fixture's type
    store: str,
    questions: list[tuple[str, dict[str, Any] | None]],
) -> list[bool]:
    """The answers of one BatchCheck, in order."""
    items = []
    for number, (question, context) in enumerate(questions):
        item = pb.BatchCheckItem(tuple_key=check_request(store, question).tuple_key, correlation_id=str(number))
        if context is not None:
            ParseDict(context, item.context)
        items.append(item)
    answer = await client.stub.BatchCheck(pb.BatchCheckRequest(store_id=store, checks=items))
    return [answer.result[str(number)].allowed for number in range(len(items))]


async def put_conditioned(client: Client, store: str, fact: str, wanted: str) -> None:  # noqa: F811
    """Write a tuple with the condition."""
    key = tuple_key(fact)
    key.condition.name = "matches"
    ParseDict({"wanted": wanted}, key.condition.context)
    await client.stub.Write(pb.WriteRequest(store_id=store, writes=pb.WriteRequestWrites(tuple_keys=[key])))


async def test_cve_2026_34972_items_that_differ_in_context_alone(client: Client) -> None:  # noqa: F811
    """
    Equal questions with different contexts in one batch each get their own answer.
    """
    store = await client.world(CONDITIONED)
    await put_conditioned(client, store, "document:1#viewer@user:anne", "yes")
    asked = [("document:1#viewer@user:anne", {"given": given}) for given in ("no", "yes", "no", "yes")]
    assert await batch(client, store, asked) == [False, True, False, True]


async def test_cve_2026_33729_cve_2024_56323_no_answer_outlives_its_context(client: Client) -> None:  # noqa: F811
    """
    An answer that depended on the request's context or contextual tuples is never given to another request.
    """
    store = await client.world(CONDITIONED)
    await put_conditioned(client, store, "document:1#viewer@user:anne", "yes")
    for given in ("yes", "no", "yes", "no"):
        request = check_request(store, "document:1#viewer@user:anne")
        ParseDict({"given": given}, request.context)
        assert (await client.stub.Check(request)).allowed == (given == "yes")
    for wanted in ("a", "b", "a"):
        request = check_request(store, "document:2#viewer@user:anne")
        ParseDict({"given": "a"}, request.context)
        extra = tuple_key("document:2#viewer@user:anne")
        extra.condition.name = "matches"
        ParseDict({"wanted": wanted}, extra.condition.context)
        request.contextual_tuples.tuple_keys.append(extra)
        assert (await client.stub.Check(request)).allowed == (wanted == "a")
    assert not await client.allows(store, "document:2#viewer@user:anne")


async def test_cve_2025_64751_a_wildcard_needs_its_condition(client: Client) -> None:  # noqa: F811
    """
    Where the model demands a condition with `user:*`, the bare wildcard is refused: written and in a request.
    """
    store = await client.world(CONDITIONED)
    code, _, message = await refusal(client.put(store, "document:1#viewer@user:*"))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "user:*" in message
    request = check_request(store, "document:1#viewer@user:anne")
    request.contextual_tuples.tuple_keys.append(tuple_key("document:1#viewer@user:*"))
    assert (await refusal(client.stub.Check(request)))[1] == "invalid_tuple"


async def test_cve_2025_48371_contextual_tuples_obey_type_restrictions(client: Client) -> None:  # noqa: F811
    """
    A tuple that could not be written cannot be sent along either.
    """
    store = await client.world(CONDITIONED)
    for fact in ("document:1#owner@document:2", "document:1#owner@user:*", "document:1#reader@user:anne"):
        request = check_request(store, "document:1#reader@user:anne")
        request.contextual_tuples.tuple_keys.append(tuple_key(fact))
        assert (await refusal(client.stub.Check(request)))[1] == "invalid_tuple", fact


async def test_cve_2025_49011_conditions_on_several_parents(client: Client) -> None:  # noqa: F811
    """
    Of two conditional parents that both lead to the user, the one whose condition is met decides.
    """
    store = await client.world(CONDITIONED)
    await client.put(store, "document:head#owner@user:maria")
    await put_conditioned(client, store, "document:branch#parent@document:head", "admin")
    await put_conditioned(client, store, "document:plan#parent@document:branch", "admin")
    await put_conditioned(client, store, "document:plan#parent@document:head", "manager")
    for given, expected in (("admin", True), ("manager", True), ("guest", False)):
        request = check_request(store, "document:plan#reader@user:maria")
        ParseDict({"given": given}, request.context)
        assert (await client.stub.Check(request)).allowed == expected, given


async def test_cve_2022_39342_a_tupleset_is_a_plain_direct_relation(client: Client) -> None:  # noqa: F811
    """
    A model whose `from` goes through a computed relation, a userset or a wildcard is refused.
    """
    store = await client.world()
    for parent in ("[folder:*]", "[folder#viewer]", "[folder] or owner"):
        text = f"""
model
  schema 1.1
type user
type folder
  relations
    define viewer: [user]
type document
  relations
    define owner: [folder]
    define parent: {parent}
    define viewer: viewer from parent
"""
        body = {"store_id": store, **unchecked_json(text)}
        request = ParseDict(body, pb.WriteAuthorizationModelRequest())
        assert (await refusal(client.stub.WriteAuthorizationModel(request)))[1] == "invalid_authorization_model", parent


def unchecked_json(text: str) -> dict[str, Any]:
    """The JSON form of a model that need not be valid."""
    from schema_dsl import dsl_to_json

    return dsl_to_json(text)


async def test_cve_2023_45810_cve_2024_23820_many_dear_calls_leave_the_service_answering(
    client: Client,  # noqa: F811
) -> None:
    """
    Callers that list over a wide and cyclic world, and leave, do not keep others from their answers.
    """
    model = """
model
  schema 1.1
type user
type group
  relations
    define member: [user, group#member]
type document
  relations
    define viewer: [user, group#member]
    define reader: viewer and viewer
"""
    store = await client.world(model)
    for start in range(0, 2000, 50):
        facts = [f"group:{n}#member@group:{(n * 7 + 1) % 2000}#member" for n in range(start, start + 50)]
        facts += [f"document:{n}#viewer@group:{n}#member" for n in range(start, start + 50)]
        await client.put(store, *facts)
    dear = [
        asyncio.ensure_future(
            client.stub.ListObjects(
                pb.ListObjectsRequest(store_id=store, type="document", relation="reader", user="group:1#member"),
                timeout=0.2,
            )
        )
        for _ in range(20)
    ]
    loop = asyncio.get_running_loop()
    slowest = 0.0
    for _ in range(20):
        begun = loop.time()
        assert not await client.allows(store, "document:1#viewer@user:nobody")
        slowest = max(slowest, loop.time() - begun)
    await asyncio.gather(*dear, return_exceptions=True)
    assert slowest < 2.5  # a bound against standstill, not a measurement


async def test_cve_2026_55866_a_list_with_context_gives_nothing_to_checks_without(client: Client) -> None:  # noqa: F811
    """
    While others list with a context that meets a condition, a check without context, or with another one, stays what
    it is: an error that names the parameter, or denied.
    """
    store = await client.world(
        """
model
  schema 1.1
type user
type document
  relations
    define reader: [user with matches]
    define writer: [user]
    define banned: [user]
    define editor: (reader and writer) but not banned
condition matches(given: string, wanted: string) {
  given == wanted
}
"""
    )
    await put_conditioned(client, store, "document:1#reader@user:anne", "yes")
    await client.put(store, "document:1#writer@user:anne")
    wanted = pb.ListObjectsRequest(store_id=store, type="document", relation="editor", user="user:anne")
    ParseDict({"given": "yes"}, wanted.context)
    other = check_request(store, "document:1#editor@user:anne")
    ParseDict({"given": "no"}, other.context)
    for _ in range(10):
        lists = [asyncio.ensure_future(client.stub.ListObjects(wanted)) for _ in range(5)]
        denied = await asyncio.gather(*(client.stub.Check(other) for _ in range(5)))
        assert [answer.allowed for answer in denied] == [False] * 5
        message = (await refusal(client.stub.Check(check_request(store, "document:1#editor@user:anne"))))[2]
        assert "given" in message
        assert [list((await each).objects) for each in lists] == [["document:1"]] * 5
