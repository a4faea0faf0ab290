"""The interceptors for gRPC servers: nothing runs without a yes, and methods without a rule are refused."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest

from authz._proto.openfga.v1 import openfga_pb2
from authz._proto.openfga.v1 import openfga_service_pb2 as pb
from authz.client import AsyncClient, Client, RetryPolicy
from authz.client.interceptors import AsyncAuthorizationInterceptor, AuthorizationInterceptor, Rule
from tests.client.support import STORE, Fail, Hang, Scripted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

RULES = {
    "/t.Docs/Get": Rule("viewer", "document:{store_id}"),
    "/t.Docs/Nested": Rule("viewer", "document:{object.id}"),
    "/t.Docs/Watch": Rule("viewer", "document:{store_id}"),
    "/t.Docs/Upload": Rule("editor", "document:{store_id}"),
    "/t.Docs/Pull": Rule("editor", "document:{store_id}"),
    "/t.Docs/Fixed": Rule("editor", "system:main"),
    "/t.Docs/Wrong": Rule("viewer", "document:{no_such_field}"),
    "/t.Docs/Message": Rule("viewer", "document:{object}"),
    "/t.Docs/Repeated": Rule("viewer", "document:{user_filters}"),
    "/t.Docs/Plain": Rule("viewer", "document:{store_id}"),
}
RAN: list[str] = []
OK = pb.GetStoreResponse(id="ok")


def named(context: Any) -> Any:
    """Whoever the test says; a server in earnest looks at what was verified."""
    found = str(dict(context.invocation_metadata()).get("x-test", ""))
    if found == "failing":
        raise KeyError("hunter2")
    return context.abort(grpc.StatusCode.OUT_OF_RANGE, "mine") if found == "aborting" else found


def get(request: Any, _context: Any) -> Any:
    """One message in, one out."""
    RAN.append(getattr(request, "store_id", ""))
    return OK


def watch(request: Any, _context: Any) -> Iterator[Any]:
    """One in, many out."""
    RAN.append(request.store_id)
    yield OK
    yield OK


def upload(requests: Iterator[Any], _context: Any) -> Any:
    """Many in."""
    RAN.append("begun")
    RAN.extend(request.store_id for request in requests)
    return OK


async def async_get(request: Any, _context: Any) -> Any:
    """The same for asyncio."""
    RAN.append(getattr(request, "store_id", ""))
    return OK


async def async_watch(request: Any, _context: Any) -> AsyncIterator[Any]:
    """A generator."""
    RAN.append(request.store_id)
    yield OK
    yield OK


async def async_upload(requests: AsyncIterator[Any], _context: Any) -> Any:
    """Many in, by iteration."""
    RAN.append("begun")
    async for request in requests:
        RAN.extend([request.store_id])
    return OK


async def async_pull(_requests: Any, context: Any) -> Any:
    """Many in, by reading."""
    RAN.append("begun")
    while (request := await context.read()) is not grpc.aio.EOF:
        RAN.append(request.store_id)
    return OK


def handlers(one: Any, many: Any, taking: Any, pulling: Any) -> grpc.GenericRpcHandler:
    """A service of all kinds of methods."""

    def unary(message: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(one, message.FromString, lambda answer: answer.SerializeToString())

    def write(answer: Any) -> bytes:
        raw: bytes = answer.SerializeToString()
        return raw

    methods = {
        "Get": unary(pb.GetStoreRequest),
        "Nested": unary(pb.ListUsersRequest),
        "Wrong": unary(pb.GetStoreRequest),
        "Message": unary(pb.ListUsersRequest),
        "Repeated": unary(pb.ListUsersRequest),
        "Unruled": unary(pb.GetStoreRequest),
        "Public": unary(pb.GetStoreRequest),
        "Plain": grpc.unary_unary_rpc_method_handler(get, pb.GetStoreRequest.FromString, write),
        "Watch": grpc.unary_stream_rpc_method_handler(many, pb.GetStoreRequest.FromString, write),
        "Upload": grpc.stream_unary_rpc_method_handler(taking, pb.GetStoreRequest.FromString, write),
        "Fixed": grpc.stream_unary_rpc_method_handler(taking, pb.GetStoreRequest.FromString, write),
        "UnruledStream": grpc.stream_unary_rpc_method_handler(taking, pb.GetStoreRequest.FromString, write),
        "Pull": grpc.stream_unary_rpc_method_handler(pulling, pb.GetStoreRequest.FromString, write),
    }
    return grpc.method_handlers_generic_handler("t.Docs", methods)


@contextmanager
def sync_server(service: Scripted, **options: Any) -> Iterator[str]:
    """A server with threads."""
    with Client(service.address, store=STORE, timeout=1, retry=RetryPolicy(attempts=1)) as client:
        interceptor = AuthorizationInterceptor(client, RULES, named, public=["/t.Docs/Public"], **options)
        server = grpc.server(ThreadPoolExecutor(8), interceptors=[interceptor])
        server.add_generic_rpc_handlers((handlers(get, watch, upload, upload),))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield f"127.0.0.1:{port}"
        server.stop(None).wait(5)


@asynccontextmanager
async def async_server(service: Scripted) -> AsyncIterator[str]:
    """A server on asyncio."""
    async with AsyncClient(service.address, store=STORE, timeout=1, retry=RetryPolicy(attempts=1)) as client:
        interceptor = AsyncAuthorizationInterceptor(client, RULES, named, public=["/t.Docs/Public"])
        server = grpc.aio.server(interceptors=[interceptor])
        server.add_generic_rpc_handlers((handlers(async_get, async_watch, async_upload, async_pull),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        yield f"127.0.0.1:{port}"
        await server.stop(None)


def call(address: str, method: str, *messages: Any, user: str = "user:anne", timeout: float = 5) -> str:
    """What comes of a call: the answers by number, or the code."""
    with grpc.insecure_channel(address) as channel:
        metadata = (("x-test", user),) if user else ()
        path, write, read = (
            f"/t.Docs/{method}",
            lambda message: message.SerializeToString(),
            pb.GetStoreResponse.FromString,
        )
        try:
            if method == "Watch":
                many = channel.unary_stream(path, write, read)(messages[0], metadata=metadata, timeout=timeout)
                return "ok" * len(list(many))
            if method in ("Upload", "Pull", "Fixed", "UnruledStream"):
                taking = channel.stream_unary(path, write, read)
                return str(taking(iter(messages), metadata=metadata, timeout=timeout).id)
            return str(channel.unary_unary(path, write, read)(messages[0], metadata=metadata, timeout=timeout).id)
        except grpc.RpcError as error:
            return str(error.code().name)  # type: ignore[attr-defined]


def document(name: str) -> pb.GetStoreRequest:
    """A request about a document."""
    return pb.GetStoreRequest(store_id=name)


def nested(name: str | None) -> pb.ListUsersRequest:
    """A request about a document in a message of its own."""
    return pb.ListUsersRequest(object=None if name is None else openfga_pb2.Object(id=name))


def scenario(service: Scripted, address: str) -> None:
    """What both kinds of servers must do."""
    RAN.clear()
    assert call(address, "Get", document("1")) == "ok"
    assert call(address, "Nested", nested("2")) == "ok"
    assert call(address, "Watch", document("3")) == "okok"
    assert call(address, "Upload", document("4"), document("5")) == "ok"
    assert call(address, "Pull", document("6"), document("7")) == "ok"
    asked = [(each.request.tuple_key.relation, each.request.tuple_key.object) for each in service.asked]
    assert asked == [
        *[("viewer", f"document:{number}") for number in (1, 2, 3)],
        *[("editor", f"document:{number}") for number in (4, 5, 6, 7)],
    ]
    assert RAN == ["1", "", "3", "begun", "4", "5", "begun", "6", "7"]
    assert call(address, "Public", document("1"), user="") == "ok"
    RAN.clear()
    before = service.count()
    assert call(address, "Unruled", document("1")) == "PERMISSION_DENIED"
    assert call(address, "Missing", document("1")) == "UNIMPLEMENTED"
    assert call(address, "Get", document("1"), user="") == "UNAUTHENTICATED"
    assert call(address, "Get", document("1"), user="user:*") == "PERMISSION_DENIED"
    for name in ("", "1#viewer", "*", "a b", "a:b"):
        assert call(address, "Get", document(name)) == "PERMISSION_DENIED"
    assert call(address, "Nested", nested(None)) == "PERMISSION_DENIED"
    for method in ("Wrong", "Message", "Repeated"):
        assert call(address, method, document("1") if method == "Wrong" else nested("1")) == "INTERNAL"
    assert service.count() == before
    service.will("Check", Fail(grpc.StatusCode.UNAVAILABLE), Hang())
    assert call(address, "Get", document("1")) == "UNAVAILABLE"
    assert call(address, "Get", document("1"), timeout=0.4) in ("UNAVAILABLE", "DEADLINE_EXCEEDED")
    service.allowed = False
    for method in ("Get", "Watch", "Upload", "Pull"):
        assert call(address, method, document("1")) == "PERMISSION_DENIED"
    assert not RAN


def empty_streams(service: Scripted, address: str) -> None:
    """What both kinds of servers must do with a stream of nothing: handlers may answer before they read."""
    RAN.clear()
    assert call(address, "Upload", user="") == "UNAUTHENTICATED"
    assert call(address, "Upload") == call(address, "Pull") == "PERMISSION_DENIED"
    assert call(address, "UnruledStream") == call(address, "UnruledStream", document("1")) == "PERMISSION_DENIED"
    service.allowed = False
    assert call(address, "Fixed") == "PERMISSION_DENIED"
    assert not RAN
    service.allowed = True
    assert call(address, "Fixed") == "ok"
    assert RAN == ["begun"]


def test_empty_streams_with_threads(service: Scripted) -> None:
    """Nothing is run without a yes."""
    with sync_server(service) as address:
        empty_streams(service, address)


@pytest.mark.anyio
async def test_empty_streams_on_asyncio(service: Scripted) -> None:
    """The same there."""
    async with async_server(service) as address:
        await asyncio.to_thread(empty_streams, service, address)


def failing_subjects(address: str) -> None:
    """What both kinds of servers must do when nobody can tell who is calling."""
    RAN.clear()
    for user, code, details in (
        ("failing", grpc.StatusCode.INTERNAL, "Internal Server Error"),
        ("aborting", grpc.StatusCode.OUT_OF_RANGE, "mine"),
    ):
        with grpc.insecure_channel(address) as channel:
            get = channel.unary_unary("/t.Docs/Get", pb.GetStoreRequest.SerializeToString)
            with pytest.raises(grpc.RpcError) as caught:
                get(document("1"), metadata=(("x-test", user),), timeout=5)
        assert (caught.value.code(), caught.value.details()) == (code, details)  # type: ignore[attr-defined]
    assert not RAN


def test_a_subject_that_fails_with_threads(service: Scripted) -> None:
    """The text of its error is not for the caller; a subject may end the call in its own words."""
    with sync_server(service) as address:
        failing_subjects(address)


@pytest.mark.anyio
async def test_a_subject_that_fails_on_asyncio(service: Scripted) -> None:
    """The same there."""
    async with async_server(service) as address:
        await asyncio.to_thread(failing_subjects, address)


def test_threads(service: Scripted) -> None:
    """The interceptor of `grpc.server`."""
    with sync_server(service) as address:
        scenario(service, address)


@pytest.mark.anyio
async def test_asyncio(service: Scripted) -> None:
    """The interceptor of `grpc.aio.server`; handlers that are no coroutines are refused."""
    async with async_server(service) as address:
        await asyncio.to_thread(scenario, service, address)
        service.allowed = True
        assert await asyncio.to_thread(call, address, "Plain", document("1")) == "INTERNAL"
        assert not RAN


def test_a_later_message_of_a_stream(service: Scripted) -> None:
    """Each message is decided on: the first yes is not for those after it."""
    RAN.clear()
    with sync_server(service) as address:
        service.will("Check", service.usual("Check", None), Fail(grpc.StatusCode.UNAVAILABLE))
        assert call(address, "Upload", document("1"), document("2")) == "UNAVAILABLE"
    assert RAN == ["begun", "1"]


def test_hiding(service: Scripted) -> None:
    """A no may look like a missing object."""
    service.allowed = False
    with sync_server(service, hide=True) as address:
        assert call(address, "Get", document("1")) == "NOT_FOUND"
        assert call(address, "Get", document("*")) == "NOT_FOUND"


def test_rules_that_contradict(service: Scripted) -> None:
    """A method is public or has a rule; a rule has a template."""
    with Client(service.address, store=STORE) as client:
        with pytest.raises(ValueError, match="public"):
            AuthorizationInterceptor(client, RULES, named, public=["/t.Docs/Get"])
        with pytest.raises(ValueError, match="form"):
            AuthorizationInterceptor(client, {"/t.Docs/Get": Rule("viewer", "{id}")}, named)
