"""Too much of everything, over real sockets: who floods is told to wait, others go on, and memory stays."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
import structlog
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from authz._proto.openfga.v1 import openfga_service_pb2 as pb
from authz._proto.openfga.v1.openfga_service_pb2_grpc import OpenFGAServiceStub
from authz.access.authentication.preshared import new_key
from authz.app import Serving, serving
from authz.settings import Settings
from authz.settings.limits import LimitsSettings
from tests.wire.http2 import connected, headers, message
from tests.wire.support import Client, check_request, connect, tuple_key

pytestmark = pytest.mark.anyio

EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
OK = grpc.StatusCode.OK
QUESTION = "document:1#viewer@user:anne"
MANY = 2000
"""Objects of a list that nobody reads."""
LIST_STORES = "/openfga.v1.OpenFGAService/ListStores"
NOTICEABLE = 64 * 1024 * 1024


class Caller:
    """Somebody with a preshared key, over a connection of his own."""

    def __init__(self, service: Serving, channel: grpc.aio.Channel, secret: str) -> None:
        self.client: Client = connect(service, channel)
        self._metadata = (("authorization", f"Bearer {secret}"),)

    async def outcome(self, method: str, request: Any) -> grpc.aio.AioRpcError | None:
        """Call; the error, if any."""
        try:
            await getattr(self.client.stub, method)(request, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            return error
        return None

    async def answer(self, method: str, request: Any) -> Any:
        """Call and be answered."""
        return await getattr(self.client.stub, method)(request, metadata=self._metadata)

    async def code(self, method: str, request: Any) -> grpc.StatusCode:
        """How a call ends."""
        error = await self.outcome(method, request)
        return OK if error is None else error.code()


def limits(**more: Any) -> LimitsSettings:
    """`small` allows ten of everything, and one more every six seconds; the others have the defaults."""
    rates = dict.fromkeys(("check", "list", "read", "write", "model", "admin"), "10/minute")
    return LimitsSettings.model_validate({"tiers": {"small": rates}, **more})


@asynccontextmanager
async def callers(folder: Path, bounds: LimitsSettings, *names: str) -> AsyncIterator[list[Caller]]:
    """A service with administrators of these names, each with a key and a connection of his own."""
    keys = {name: new_key(name) for name in names}
    path = folder / "keys"
    path.write_text("\n".join(line for _, line in keys.values()))
    access = {"keys_file": path, "admins": [f"key/{name}" for name in names]}
    uri = f"sqlite:///{folder}/authz.db"
    settings = Settings.model_validate(
        {"grpc_addr": "127.0.0.1:0", "datastore_uri": uri, "access": access, "limits": bounds, "shutdown_grace": 0.2}
    )
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(serving(settings))
        alone = [("grpc.use_local_subchannel_pool", 1)]
        channels = [
            await stack.enter_async_context(grpc.aio.insecure_channel(service.grpc_address, alone))
            for _ in (*names, "stranger")
        ]
        secrets = [*(secret for secret, _ in keys.values()), "wrong"]
        yield [Caller(service, channel, secret) for channel, secret in zip(channels, secrets, strict=True)]


def told(error: grpc.aio.AioRpcError) -> tuple[str, float, int]:
    """The reason of a refusal, and how long to wait, by the details and by the metadata."""
    metadata = dict(error.trailing_metadata() or ())
    raw = metadata["grpc-status-details-bin"]
    assert isinstance(raw, bytes)
    status, info, retry = Status.FromString(raw), ErrorInfo(), RetryInfo()
    assert status.details[0].Unpack(info)
    assert status.details[1].Unpack(retry)
    return info.reason, retry.retry_delay.ToMilliseconds() / 1000, int(str(metadata["retry-after"]))


async def test_a_principal_that_floods(tmp_path: Path) -> None:
    """Its calls beyond the rate are refused with the time to wait; the other principal notices nothing, and the wait
    holds what it promises."""
    bounds = limits(principals={"key/loud": "quick"}, tiers={"quick": {"check": "20/second", "admin": "10/minute"}})
    async with callers(tmp_path, bounds, "loud", "quiet") as (loud, quiet, _):
        store_id = (await quiet.answer("CreateStore", pb.CreateStoreRequest(name="shop"))).id
        request = pb.GetStoreRequest(store_id=store_id)
        check = check_request(store_id, QUESTION)
        errors = await asyncio.gather(*(loud.outcome("Check", check) for _ in range(200)))
        refused = [error for error in errors if error is not None and error.code() is EXHAUSTED]
        assert 100 < len(refused) <= 180
        reason, wait, seconds = told(refused[-1])
        assert (reason, seconds) == ("resource_exhausted", 1)
        assert 0 < wait <= 0.05 * 1.1
        assert [await quiet.code("GetStore", request) for _ in range(50)] == [OK] * 50
        await asyncio.sleep(wait)
        assert await loud.code("Check", check) is not EXHAUSTED


async def test_classes_and_items_are_counted(tmp_path: Path) -> None:
    """Tuples of a write count one by one, before anything is written; other classes of calls go on."""
    bounds = limits(principals={"key/small": "small"})
    async with callers(tmp_path, bounds, "small", "other") as (small, other, _):
        store_id = (await other.answer("CreateStore", pb.CreateStoreRequest(name="shop"))).id
        keys = [tuple_key(f"document:{number}#viewer@user:anne") for number in range(9)]
        write = pb.WriteRequest(store_id=store_id, writes=pb.WriteRequestWrites(tuple_keys=keys))
        assert await small.code("Write", write) is grpc.StatusCode.INVALID_ARGUMENT  # there is no model
        assert await small.code("Write", write) is EXHAUSTED
        assert await small.code("GetStore", pb.GetStoreRequest(store_id=store_id)) is OK
        assert await other.code("Write", write) is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_store_that_is_flooded(tmp_path: Path) -> None:
    """A store's rate holds for all its callers together; other stores go on."""
    async with callers(tmp_path, limits(store_tier="small"), "one", "two") as (one, two, _):
        stores = [(await one.answer("CreateStore", pb.CreateStoreRequest(name="shop"))).id for _ in range(2)]
        requests = [pb.GetStoreRequest(store_id=store_id) for store_id in stores]
        codes = [await caller.code("GetStore", requests[0]) for caller in (one, two) for _ in range(8)]
        assert codes == [OK] * 10 + [EXHAUSTED] * 6
        assert await two.code("GetStore", requests[1]) is OK


async def test_an_address_that_floods(tmp_path: Path) -> None:
    """Beyond the rate of its address nobody's proof is looked at any more."""
    async with callers(tmp_path, limits(peer="30/minute"), "one") as (one, stranger):
        codes = [await caller.code("ListStores", pb.ListStoresRequest()) for caller in (one, stranger) * 20]
        assert codes[:30] == [OK, grpc.StatusCode.UNAUTHENTICATED] * 15
        assert codes[30:] == [EXHAUSTED] * 10


async def test_failed_proofs_slow_down(tmp_path: Path) -> None:
    """After some failures in a row an address waits, twice as long after each further one."""
    async with callers(tmp_path, limits(failures="5/minute"), "one") as (_, stranger):
        errors = [await stranger.outcome("ListStores", pb.ListStoresRequest()) for _ in range(10)]
        codes = [error.code() for error in errors if error is not None]
        assert codes == [grpc.StatusCode.UNAUTHENTICATED] * 6 + [EXHAUSTED] * 4
        assert errors[-1] is not None
        _, wait, _ = told(errors[-1])
        await asyncio.sleep(wait)
        assert await stranger.code("ListStores", pb.ListStoresRequest()) is grpc.StatusCode.UNAUTHENTICATED
        error = await stranger.outcome("ListStores", pb.ListStoresRequest())
        assert error is not None
        assert 1.5 < told(error)[1] <= 2


async def test_who_fails_keeps_out_nobody_known_from_the_same_address(tmp_path: Path) -> None:
    """However often somebody fails behind a shared address, callers whose proofs are known are answered as ever."""
    async with callers(tmp_path, limits(failures="5/minute"), "one") as (one, stranger):
        assert await one.code("ListStores", pb.ListStoresRequest()) is OK
        codes = [
            await caller.code("ListStores", pb.ListStoresRequest()) for _ in range(10) for caller in (stranger, one)
        ]
        assert codes[1::2] == [OK] * 10
        assert codes[18] is EXHAUSTED


async def test_limits_may_be_off(tmp_path: Path) -> None:
    """Without limits nobody is refused, and the bounds of the transport hold all the same."""
    async with callers(tmp_path, limits(enabled=False, tier="small", peer="1/day"), "one") as (one, _):
        codes = [await one.code("ListStores", pb.ListStoresRequest()) for _ in range(40)]
        assert codes == [OK] * 40
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await one.client.stub.ListStores(pb.ListStoresRequest(), metadata=(("x", "y" * 20_000),))
        assert caught.value.code() is EXHAUSTED


async def test_a_flood_of_strangers_drops_nobody_else(tmp_path: Path) -> None:
    """Where connections may have a hundred calls open, and some push as many as they can, others wait longer, and none
    of their calls is lost; the log tells how many were refused, in few lines."""
    generous = limits(peer="1000000/second", failures="1000000/second", max_concurrent_streams=100)
    async with callers(tmp_path, generous, "one") as (one, stranger), AsyncExitStack() as stack:
        port = int(stranger.client.service.grpc_address.rpartition(":")[2])
        peers = [await stack.enter_async_context(connected(port)) for _ in range(8)]
        with structlog.testing.capture_logs() as logs:
            for peer in peers:
                peer.send(*(headers(each, LIST_STORES) + message(each) for each in range(1, 4000, 2)))
            codes = [await one.code("ListStores", pb.ListStoresRequest()) for _ in range(10)]
            for peer in peers:
                await peer.read_for(0.05)
        assert codes == [OK] * 10
        assert len([each for each in logs if each.get("grpc_code") == "UNAUTHENTICATED"]) < 200


async def many_objects(client: Client) -> str:
    """A store in which anne may view many documents."""
    store_id = await client.world()
    for start in range(0, MANY, 100):
        await client.put(store_id, *(f"document:{start + number}#viewer@user:anne" for number in range(100)))
    return store_id


async def test_lists_that_nobody_reads(tmp_path: Path) -> None:
    """Streams whose callers read nothing keep little memory and end with their connection at the latest; meanwhile
    checks go on."""
    settings = Settings(
        grpc_addr="127.0.0.1:0",
        datastore_uri=f"sqlite:///{tmp_path}/authz.db",
        list_objects_deadline=1.0,
        limits=LimitsSettings(connection_age=3.0, connection_age_grace=0.5),
        shutdown_grace=0.2,
    )
    async with serving(settings) as service, grpc.aio.insecure_channel(service.grpc_address) as channel:
        client = connect(service, channel)
        store_id = await many_objects(client)
        port = int(service.grpc_address.rpartition(":")[2])
        request = pb.StreamedListObjectsRequest(store_id=store_id, type="document", relation="viewer", user="user:anne")
        path = "/openfga.v1.OpenFGAService/StreamedListObjects"
        before = psutil.Process().memory_info().rss
        async with connected(port) as peer:
            nothing = b"\x00\x00\x06\x04\x00\x00\x00\x00\x00" + b"\x00\x04\x00\x00\x00\x00"  # a window of no bytes
            peer.send(nothing)
            for number in range(100):
                stream = 1 + 2 * number
                peer.send(headers(stream, path), message(stream, request.SerializeToString()))
            started = time.monotonic()
            while time.monotonic() < started + 1:
                assert await client.allows(store_id, QUESTION)
            grown = psutil.Process().memory_info().rss - before
            assert grown < NOTICEABLE, f"{grown} bytes"
            assert await peer.closed_within(10, is_alive=True) is not None
        assert await client.allows(store_id, QUESTION)


async def test_hundreds_of_connections_that_say_nothing(tmp_path: Path) -> None:
    """Silent connections keep nobody from being answered, and are cut."""
    settings = Settings(
        grpc_addr="127.0.0.1:0",
        datastore_uri=f"sqlite:///{tmp_path}/authz.db",
        limits=LimitsSettings(handshake_timeout=1.0),
        shutdown_grace=0.2,
    )
    async with serving(settings) as service, AsyncExitStack() as stack:
        port = int(service.grpc_address.rpartition(":")[2])
        peers = [await stack.enter_async_context(connected(port, greets=False)) for _ in range(300)]
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(service.grpc_address))
        stub: Any = OpenFGAServiceStub(channel)
        assert (await stub.CreateStore(pb.CreateStoreRequest(name="shop"))).id
        found = await asyncio.gather(*(peer.closed_within(10) for peer in peers))
        assert None not in found
