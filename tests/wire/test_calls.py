"""Every RPC once over a real socket, with the metadata that goes with it."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Struct

from authz._proto.openfga.v1 import openfga_pb2 as values
from authz._proto.openfga.v1 import openfga_service_pb2 as pb
from authz._proto.openfga.v1.authzmodel_pb2 import AuthorizationModel
from schema_dsl import dsl_to_json
from tests.wire.support import MODEL, UNKNOWN_ID, Client, check_request, refusal, tuple_key

pytestmark = pytest.mark.anyio


async def test_stores_live_from_create_to_delete(client: Client) -> None:
    """
    Create, get, list, rename and delete a store.
    """
    made = await client.stub.CreateStore(pb.CreateStoreRequest(name="shop"))
    assert made.created_at == made.updated_at
    listed = await client.stub.ListStores(pb.ListStoresRequest(name="shop"))
    assert [made.id] == [store.id for store in listed.stores]
    await client.stub.UpdateStore(pb.UpdateStoreRequest(store_id=made.id, name="depot"))
    found = await client.stub.GetStore(pb.GetStoreRequest(store_id=made.id))
    assert (found.name, found.HasField("deleted_at")) == ("depot", False)
    await client.stub.DeleteStore(pb.DeleteStoreRequest(store_id=made.id))
    status, reason, _ = await refusal(client.stub.GetStore(pb.GetStoreRequest(store_id=made.id)))
    assert (status, reason) == (grpc.StatusCode.NOT_FOUND, "store_id_not_found")


async def test_models_come_back_as_they_were_written(client: Client) -> None:
    """
    The JSON form of a model survives write, read and list.
    """
    store_id = await client.world()
    model_id = await client.write_model(store_id)
    one = await client.stub.ReadAuthorizationModel(pb.ReadAuthorizationModelRequest(store_id=store_id, id=model_id))
    assert ParseDict({"id": model_id, **dsl_to_json(MODEL)}, AuthorizationModel()) == one.authorization_model
    listed = await client.stub.ReadAuthorizationModels(pb.ReadAuthorizationModelsRequest(store_id=store_id))
    assert (2, one.authorization_model) == (len(listed.authorization_models), listed.authorization_models[0])


async def test_assertions_come_back_as_they_were_written(client: Client) -> None:
    """
    Assertions with contextual tuples and context survive write and read.
    """
    store_id = await client.world()
    model_id = await client.write_model(store_id)
    context = Struct()
    context.update({"day": "monday", "list": [1, None, {"x": True}]})
    contextual = tuple_key("document:1#viewer@user:anne")
    contextual.condition.name = "weekday"
    contextual.condition.context.update({"day": "friday"})
    key = pb.AssertionTupleKey(object="document:1", relation="viewer", user="user:anne")
    written = pb.Assertion(tuple_key=key, expectation=True, contextual_tuples=[contextual], context=context)
    ids = {"store_id": store_id, "authorization_model_id": model_id}
    await client.stub.WriteAssertions(pb.WriteAssertionsRequest(**ids, assertions=[written]))
    found = await client.stub.ReadAssertions(pb.ReadAssertionsRequest(**ids))
    assert ([written], model_id) == (list(found.assertions), found.authorization_model_id)


async def test_the_questions_agree(client: Client) -> None:
    """
    Check, batch check, both lists of objects, list of users and expand answer about the same tuples.
    """
    store_id = await client.world()
    await client.put(store_id, "document:1#viewer@group:eng#member", "group:eng#member@user:anne")
    assert await client.allows(store_id, "document:1#viewer@user:anne")
    assert not await client.allows(store_id, "document:1#viewer@user:bob")
    asked = {"store_id": store_id, "type": "document", "relation": "viewer", "user": "user:anne"}
    assert list((await client.stub.ListObjects(pb.ListObjectsRequest(**asked))).objects) == ["document:1"]
    streamed = client.stub.StreamedListObjects(pb.StreamedListObjectsRequest(**asked))
    assert [answer.object async for answer in streamed] == ["document:1"]
    users = await client.stub.ListUsers(
        pb.ListUsersRequest(
            store_id=store_id,
            object=values.Object(type="document", id="1"),
            relation="viewer",
            user_filters=[values.UserTypeFilter(type="user")],
        )
    )
    assert [values.User(object=values.Object(type="user", id="anne"))] == list(users.users)
    key = pb.ExpandRequestTupleKey(object="document:1", relation="viewer")
    tree = (await client.stub.Expand(pb.ExpandRequest(store_id=store_id, tuple_key=key))).tree
    direct, computed = tree.root.union.nodes
    assert list(direct.leaf.users.users) == ["group:eng#member"]
    assert computed.leaf.computed.userset == "document:1#owner"


async def test_a_batch_answers_each_item(client: Client) -> None:
    """
    A batch tells decisions and errors apart, by correlation id.
    """
    store_id = await client.world()
    await client.put(store_id, "document:1#viewer@user:anne")
    questions = {"yes": "document:1#viewer@user:anne", "no": "document:1#owner@user:anne", "bad": "x:1#owner@user:a"}
    checks = [
        pb.BatchCheckItem(correlation_id=name, tuple_key=check_request(store_id, question).tuple_key)
        for name, question in questions.items()
    ]
    result = (await client.stub.BatchCheck(pb.BatchCheckRequest(store_id=store_id, checks=checks))).result
    assert (result["yes"].allowed, result["no"].allowed) == (True, False)
    assert result["no"].WhichOneof("check_result") == "allowed"
    assert result["bad"].error.input_error == 2000
    assert "`x`" in result["bad"].error.message


async def test_answers_carry_model_token_and_request_id(client: Client) -> None:
    """
    The model that answered, the revision as a token and the request id come as initial metadata.
    """
    store_id = await client.world()
    model_id = await client.write_model(store_id)
    await client.put(store_id, "document:1#viewer@user:anne")
    call = client.stub.Check(
        check_request(store_id, "document:1#viewer@user:anne"), metadata=(("x-request-id", "abc.1-2_Z"),)
    )
    metadata = dict(await call.initial_metadata())
    token = client.service.services.tokens.encode(store_id, 1)
    assert {
        "x-request-id": "abc.1-2_Z",
        "openfga-authorization-model-id": model_id,
        "authz-consistency-token": token,
    } == metadata
    assert (await call).allowed


@pytest.mark.parametrize("given", ["", "x" * 129, " "])
async def test_an_odd_request_id_is_replaced(client: Client, given: str) -> None:
    """
    A request id that is unfit for logs is not echoed.
    """
    call = client.stub.ListStores(pb.ListStoresRequest(), metadata=(("x-request-id", given),))
    echoed = dict(await call.initial_metadata())["x-request-id"]
    assert given != echoed
    assert echoed.isalnum()
    await call


async def test_refusals_carry_the_request_id(client: Client, transport: str) -> None:
    """
    A refused call can be found in the log too: native, which sends nothing before a refusal, puts the id behind it.
    """
    call = client.stub.GetStore(pb.GetStoreRequest(), metadata=(("x-request-id", "mine"),))
    told = await (call.initial_metadata() if transport == "grpcio" else call.trailing_metadata())
    assert dict(told)["x-request-id"] == "mine"
    assert (await refusal(call))[:2] == (grpc.StatusCode.INVALID_ARGUMENT, "validation_error")


async def test_consistency_metadata_wins_over_the_field(client: Client) -> None:
    """
    An exact snapshot answers as of then, whatever the field says; odd modes and tokens are clear errors.
    """
    store_id = await client.world()
    await client.put(store_id, "document:1#viewer@user:anne")
    token = client.service.services.tokens.encode(store_id, 1)
    await client.stub.Write(
        pb.WriteRequest(
            store_id=store_id,
            deletes=pb.WriteRequestDeletes(
                tuple_keys=[values.TupleKeyWithoutCondition(object="document:1", relation="viewer", user="user:anne")]
            ),
        )
    )
    request = check_request(store_id, "document:1#viewer@user:anne")
    request.consistency = 200
    for mode, allowed in (
        (f"at-exact-snapshot={token}", True),
        (f"at-least-as-fresh={token}", False),
        ("fully-consistent", False),
        ("minimize-latency", False),
    ):
        answer = await client.stub.Check(request, metadata=(("authz-consistency", mode),))
        assert allowed == answer.allowed
    foreign = client.service.services.tokens.encode(UNKNOWN_ID, 1)
    for mode in ("strong", f"fully-consistent={token}", "at-exact-snapshot", "at-exact-snapshot=", "", f"x={token}"):
        status, reason, _ = await refusal(client.stub.Check(request, metadata=(("authz-consistency", mode),)))
        assert (status, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "validation_error")
    for mode in (f"at-exact-snapshot={foreign}", f"at-least-as-fresh={token}x"):
        status, reason, message = await refusal(client.stub.Check(request, metadata=(("authz-consistency", mode),)))
        assert (status, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "validation_error")
        assert "token" in message
    twice = (("authz-consistency", "fully-consistent"),) * 2
    assert "2 times" in (await refusal(client.stub.Check(request, metadata=twice)))[2]


async def test_pages_follow_their_tokens(client: Client) -> None:
    """
    Read and ReadChanges give all entries page by page.
    """
    store_id = await client.world()
    await client.put(store_id, *(f"document:{number}#viewer@user:anne" for number in range(7)))
    for method, request_type, field in (
        (client.stub.Read, pb.ReadRequest, "tuples"),
        (client.stub.ReadChanges, pb.ReadChangesRequest, "changes"),
    ):
        seen: list[object] = []
        token = ""
        for size in (3, 3, 1):
            request = request_type(store_id=store_id, page_size={"value": 3}, continuation_token=token)
            page = await method(request)
            assert size == len(getattr(page, field))
            seen += getattr(page, field)
            token = page.continuation_token
        assert len(seen) == 7
        assert bool(token) == (field == "changes")


async def test_calls_work_for_stores_that_never_were(client: Client) -> None:
    """
    Except for GetStore, a well-formed store id is enough: reads are empty, questions find no model, delete succeeds.
    """
    stub = client.stub
    assert not (await stub.Read(pb.ReadRequest(store_id=UNKNOWN_ID))).tuples
    assert not (await stub.ReadChanges(pb.ReadChangesRequest(store_id=UNKNOWN_ID))).changes
    listed = await stub.ReadAuthorizationModels(pb.ReadAuthorizationModelsRequest(store_id=UNKNOWN_ID))
    assert not listed.authorization_models
    await stub.DeleteStore(pb.DeleteStoreRequest(store_id=UNKNOWN_ID))
    question = check_request(UNKNOWN_ID, "document:1#viewer@user:anne")
    assert (await refusal(stub.Check(question)))[1] == "latest_authorization_model_not_found"
    await client.write_model(UNKNOWN_ID)
    assert not (await stub.Check(question)).allowed


async def test_a_deleted_store_keeps_its_tuples(client: Client) -> None:
    """
    Deleting a store hides it; its models and tuples are left, as clients of OpenFGA know it.
    """
    store_id = await client.world()
    await client.put(store_id, "document:1#viewer@user:anne")
    await client.stub.DeleteStore(pb.DeleteStoreRequest(store_id=store_id))
    assert await client.allows(store_id, "document:1#viewer@user:anne")


async def test_tokens_of_other_stores_are_refused(client: Client) -> None:
    """
    A continuation token serves the store and the call that it was made for.
    """
    one, other = await client.world(), await client.world()
    for store_id in (one, other):
        await client.put(store_id, "document:1#viewer@user:anne", "document:2#viewer@user:anne")
    token = (await client.stub.Read(pb.ReadRequest(store_id=one, page_size={"value": 1}))).continuation_token
    for call in (
        client.stub.Read(pb.ReadRequest(store_id=other, continuation_token=token)),
        client.stub.ReadChanges(pb.ReadChangesRequest(store_id=one, continuation_token=token)),
        client.stub.ListStores(pb.ListStoresRequest(continuation_token=token)),
    ):
        assert (await refusal(call))[1] == "invalid_continuation_token"
