"""Requests that nobody should send. Each is refused clearly, and the service lives on and answers afterwards."""

from __future__ import annotations

import asyncio
import random

import grpc
import pytest
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct, Value

from authz._proto.openfga.v1 import authzmodel_pb2, openfga_pb2
from authz._proto.openfga.v1 import openfga_service_pb2 as pb
from authz.rpc.convert.values import MAX_DEPTH
from authz.rpc.methods import METHODS
from tests.wire.support import UNKNOWN_ID, Client, check_request, reason_of, refusal, tuple_key

pytestmark = pytest.mark.anyio

INVALID = grpc.StatusCode.INVALID_ARGUMENT
QUESTION = "document:1#viewer@user:anne"


async def assert_lives(client: Client, store_id: str) -> None:
    """The service still decides rightly."""
    assert await client.allows(store_id, QUESTION)
    assert not await client.allows(store_id, "document:1#viewer@user:mallory")


@pytest.fixture
async def store_id(client: Client) -> str:
    """A store in which anne may view document 1."""
    store_id = await client.world()
    await client.put(store_id, QUESTION)
    return store_id


def length_delimited(number: int, payload: bytes) -> bytes:
    """A field of the wire format by hand, for messages that no library would write."""
    length, size = len(payload), b""
    while length > 0x7F:
        size += bytes([length & 0x7F | 0x80])
        length >>= 7
    return bytes([number << 3 | 2]) + size + bytes([length]) + payload


@pytest.mark.parametrize(
    "store",
    [
        "",
        "x",
        "../../etc/passwd",
        UNKNOWN_ID.lower(),
        UNKNOWN_ID + "A",
        UNKNOWN_ID[:-1] + "\n",
        "é" * 26,
        "0" * 100_000,
    ],
)
async def test_malformed_ids(client: Client, store_id: str, store: str) -> None:
    """
    An id of the wrong form is refused by name, with a message that stays short.
    """
    request = check_request(store, QUESTION)
    status, reason, message = await refusal(client.stub.Check(request))
    assert (status, reason) == (INVALID, "validation_error")
    assert message.startswith("`store_id` ")
    assert len(message) < 300
    assert message.isprintable()
    await assert_lives(client, store_id)


async def test_the_first_field_decides(client: Client) -> None:
    """
    Of several broken fields the first one in the interface is named.
    """
    bad = pb.CheckRequest(store_id="bad", tuple_key=pb.CheckRequestTupleKey(user=" "), consistency=7)
    assert "`store_id`" in (await refusal(client.stub.Check(bad)))[2]
    bad.store_id = UNKNOWN_ID
    assert "`tuple_key.user`" in (await refusal(client.stub.Check(bad)))[2]
    bad.tuple_key.CopyFrom(check_request("", QUESTION).tuple_key)
    assert "`consistency`" in (await refusal(client.stub.Check(bad)))[2]


async def test_reasons_are_those_of_openfga(client: Client, store_id: str) -> None:
    """
    Broken rules that have a code of their own carry its name.
    """
    stub = client.stub
    key = pb.CheckRequestTupleKey(user="user:a", relation="viewer", object="document 1")
    tuples = [tuple_key(QUESTION)] * 21
    assertion = pb.Assertion(
        tuple_key=pb.AssertionTupleKey(object="d:1", relation="v", user="u:1"), contextual_tuples=tuples
    )
    for call, expected in (
        (stub.Check(pb.CheckRequest(store_id=store_id)), "tuple_key_value_not_specified"),
        (stub.Check(pb.CheckRequest(store_id=store_id, tuple_key=key)), "object_invalid_pattern"),
        (stub.Read(pb.ReadRequest(store_id=store_id, page_size={"value": 0})), "page_size_invalid"),
        (stub.Read(pb.ReadRequest(store_id=store_id, page_size={"value": 101})), "page_size_invalid"),
        (stub.ReadChanges(pb.ReadChangesRequest(store_id=store_id, page_size={"value": 101})), "page_size_invalid"),
        (
            stub.WriteAuthorizationModel(pb.WriteAuthorizationModelRequest(store_id=store_id)),
            "type_definitions_too_few_items",
        ),
        (
            stub.Write(pb.WriteRequest(store_id=store_id, writes=pb.WriteRequestWrites())),
            "tuple_keys_too_many_or_too_few_items",
        ),
        (
            stub.WriteAssertions(
                pb.WriteAssertionsRequest(
                    store_id=store_id, authorization_model_id=UNKNOWN_ID, assertions=[assertion] * 101
                )
            ),
            "assertions_too_many_items",
        ),
        (
            stub.ReadChanges(pb.ReadChangesRequest(store_id=store_id, start_time={"seconds": 4_000_000_000})),
            "invalid_start_time",
        ),
        (
            stub.WriteAuthorizationModel(
                pb.WriteAuthorizationModelRequest(
                    store_id=store_id,
                    type_definitions=[
                        authzmodel_pb2.TypeDefinition(type="a", relations={"b c": authzmodel_pb2.Userset()})
                    ],
                )
            ),
            "relations_invalid_pattern",
        ),
        (stub.Write(pb.WriteRequest(store_id=store_id)), "invalid_write_input"),
    ):
        assert (INVALID, expected) == (await refusal(call))[:2]


async def test_a_message_that_is_too_large(client: Client, store_id: str) -> None:
    """
    A request above the limit is refused by the transport, one below it is looked at.
    """
    for size, status in ((1_000_000, grpc.StatusCode.RESOURCE_EXHAUSTED), (600_000, INVALID)):
        tuple_ = tuple_key(QUESTION)
        tuple_.condition.name = "weekday"
        tuple_.condition.context.update({"day": "x" * size})
        request = pb.WriteRequest(store_id=store_id, writes=pb.WriteRequestWrites(tuple_keys=[tuple_]))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.stub.Write(request)
        assert status == caught.value.code()
        assert len(caught.value.details() or "") < 1200
        await assert_lives(client, store_id)


async def test_text_that_is_not_utf_8(client: Client, store_id: str) -> None:
    """
    Bytes that are no text are refused in any text field.
    """
    for raw in (b"\xff\xfe", b"\xed\xa0\x80", b"abc\x80"):
        key = length_delimited(1, b"user:" + raw)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.raw("Check", length_delimited(1, store_id.encode()) + length_delimited(2, key))
        assert (caught.value.code(), reason_of(caught.value)) == (INVALID, "validation_error")
    await assert_lives(client, store_id)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
async def test_numbers_that_json_does_not_know(client: Client, store_id: str, number: float) -> None:
    """
    NaN and the infinities in a context are refused, and the error names where.
    """
    context = Struct()
    context.update({"a": {"b": [1, number]}})
    request = check_request(store_id, QUESTION)
    request.context.CopyFrom(context)
    contextual = check_request(store_id, QUESTION)
    contextual.contextual_tuples.tuple_keys.append(tuple_key(QUESTION))
    contextual.contextual_tuples.tuple_keys[0].condition.name = "weekday"
    contextual.contextual_tuples.tuple_keys[0].condition.context.CopyFrom(context)
    written = pb.WriteRequest(
        store_id=store_id, writes=pb.WriteRequestWrites(tuple_keys=contextual.contextual_tuples.tuple_keys)
    )
    for call in (client.stub.Check(request), client.stub.Check(contextual), client.stub.Write(written)):
        status, reason, message = await refusal(call)
        assert (status, reason) == (INVALID, "validation_error")
        assert "context.a.b.1` is" in message
    await assert_lives(client, store_id)


async def test_nesting_without_end(client: Client, store_id: str) -> None:
    """
    Thousands of levels are refused before anything recurses over them; those that pass are bounded.
    """
    value = b"\x20\x01"  # bool_value: true
    for _ in range(20_000):
        value = length_delimited(6, length_delimited(1, value))  # list_value.values
    entry = length_delimited(1, b"key") + length_delimited(2, value)
    request = check_request(store_id, QUESTION).SerializeToString()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.raw("Check", request + length_delimited(6, length_delimited(1, entry)))
    assert (caught.value.code(), reason_of(caught.value)) == (INVALID, "validation_error")

    deep = check_request(store_id, QUESTION)
    nested = Value(bool_value=True)
    for _ in range(40):
        outer = Value()
        outer.list_value.values.append(nested)
        nested = outer
    deep.context.fields["key"].CopyFrom(nested)
    assert f"deeper than {MAX_DEPTH} levels" in (await refusal(client.stub.Check(deep)))[2]
    await assert_lives(client, store_id)


@pytest.mark.parametrize("levels", [40, 20_000])
async def test_rewrites_without_end(client: Client, store_id: str, levels: int) -> None:
    """
    A model whose rewrites are nested absurdly is refused.
    """
    rewrite = length_delimited(1, b"")
    for _ in range(levels):
        rewrite = length_delimited(4, length_delimited(1, rewrite))  # union.child
    relation = length_delimited(1, b"viewer") + length_delimited(2, rewrite)
    definition = length_delimited(1, b"document") + length_delimited(2, relation)
    payload = length_delimited(1, store_id.encode()) + length_delimited(2, definition) + length_delimited(3, b"1.1")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.raw("WriteAuthorizationModel", payload)
    assert caught.value.code() is INVALID
    await assert_lives(client, store_id)


async def test_unknown_methods_and_services(client: Client, store_id: str, transport: str) -> None:
    """
    What is not served is UNIMPLEMENTED; within our service the reason says so too, unless native refuses it by itself.
    """
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.raw("Destroy", b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert transport == "native" or reason_of(caught.value) == "unimplemented"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.channel.unary_unary("/other.Service/Check")(b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    await assert_lives(client, store_id)


def _samples(store_id: str) -> list[tuple[str, Message]]:
    key = tuple_key(QUESTION)
    key.condition.name = "weekday"
    key.condition.context.update({"day": "monday", "n": [1, None, {"x": 1.5}]})
    check = check_request(store_id, QUESTION)
    check.contextual_tuples.tuple_keys.append(key)
    check.context.CopyFrom(key.condition.context)
    written = pb.WriteRequest(store_id=store_id, writes=pb.WriteRequestWrites(tuple_keys=[key]))
    definition = authzmodel_pb2.TypeDefinition(type="user")
    model = pb.WriteAuthorizationModelRequest(store_id=UNKNOWN_ID, type_definitions=[definition], schema_version="1.1")
    listed = pb.ListObjectsRequest(store_id=store_id, type="document", relation="viewer", user="user:anne")
    users = pb.ListUsersRequest(
        store_id=store_id,
        object=openfga_pb2.Object(type="document", id="1"),
        relation="viewer",
        user_filters=[openfga_pb2.UserTypeFilter(type="user")],
    )
    return [("Check", check), ("Write", written), ("WriteAuthorizationModel", model), ("ListObjects", listed),
            ("ListUsers", users), ("Read", pb.ReadRequest(store_id=store_id)),
            ("ReadChanges", pb.ReadChangesRequest(store_id=store_id, start_time={"seconds": 1}))]  # fmt: skip


async def failure(client: Client, method: str, payload: bytes) -> grpc.aio.AioRpcError | None:
    """Send bytes to a method, named by its last part; the error, if any."""
    served = next(each for each in METHODS if each.name == method)
    try:
        if served.is_streaming:
            async for _ in client.channel.unary_stream(served.path)(payload):
                pass
        else:
            await client.channel.unary_unary(served.path)(payload)
    except grpc.aio.AioRpcError as error:
        return error
    return None


async def test_garbage_is_never_an_internal_error(client: Client, store_id: str) -> None:
    """
    Random bytes and damaged requests end in an answer or a clear refusal, never in INTERNAL or UNKNOWN.
    """
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    accepted = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.ABORTED}
    for number in range(400):
        if number % 4 == 0:
            method, payload = chance.choice(METHODS).name, chance.randbytes(chance.randrange(60))
        else:
            method, sample = chance.choice(_samples(store_id))
            damaged = bytearray(sample.SerializeToString())
            for _ in range(chance.randrange(1, 4)):
                damaged[chance.randrange(len(damaged))] = chance.randrange(256)
            payload = bytes(damaged)
        error = await failure(client, method, payload)
        assert error is None or error.code() in accepted, (seed, number, method, payload, error)
        assert error is None or reason_of(error)
    store_id = await client.world()
    await client.put(store_id, QUESTION)
    await assert_lives(client, store_id)


async def test_a_thousand_calls_at_once(client: Client, store_id: str) -> None:
    """
    A thousand concurrent checks all get their right answer.
    """
    questions = [QUESTION, "document:1#viewer@user:mallory"] * 500
    answers = await asyncio.gather(*(client.allows(store_id, question) for question in questions))
    assert answers == [True, False] * 500


async def test_deadlines_that_cannot_be_kept(client: Client, store_id: str) -> None:
    """
    A hundred calls with a millisecond each end in time or with DEADLINE_EXCEEDED, and harm nobody.
    """

    async def hurried() -> grpc.StatusCode:
        try:
            await client.stub.Check(check_request(store_id, QUESTION), timeout=0.001)
        except grpc.aio.AioRpcError as error:
            return error.code()
        return grpc.StatusCode.OK

    codes = set(await asyncio.gather(*(hurried() for _ in range(100))))
    assert codes <= {grpc.StatusCode.OK, grpc.StatusCode.DEADLINE_EXCEEDED}
    assert grpc.StatusCode.DEADLINE_EXCEEDED in codes
    await assert_lives(client, store_id)


async def test_callers_that_leave(client: Client, store_id: str) -> None:
    """
    Calls that are cancelled at once, and streams that are cancelled after their first answer, harm nobody.
    """
    for start in range(0, 2000, 100):
        await client.put(store_id, *(f"document:{number}#viewer@user:anne" for number in range(start + 2, start + 102)))
    for _ in range(20):
        call = client.stub.Check(check_request(store_id, QUESTION))
        await asyncio.sleep(0)
        call.cancel()
        request = pb.StreamedListObjectsRequest(store_id=store_id, type="document", relation="viewer", user="user:anne")
        stream = client.stub.StreamedListObjects(request)
        assert (await stream.read()).object
        stream.cancel()
    await assert_lives(client, store_id)
