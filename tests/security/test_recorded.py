"""Every call ends in exactly one record, over a real socket: whatever came of it, and whatever its caller did."""

from __future__ import annotations

import asyncio
import json
import math
import time
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.struct_pb2 import Struct, Value

from authz._proto.authz.v1 import audit_pb2
from authz._proto.openfga.v1 import openfga_service_pb2 as pb
from tests.security.conftest import Secured, audit_stub, running
from tests.support.issuer import LocalIssuer
from tests.support.transports import TRANSPORTS
from tests.wire.support import UNKNOWN_ID, check_request

pytestmark = pytest.mark.anyio


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    """What takes calls off the wire: each in turn."""
    return str(request.param)


QUESTION = "document:1#viewer@user:anne"
CHECK = "/openfga.v1.OpenFGAService/Check"


async def _recorded(secured: Secured, request_id: str, count: int = 1) -> list[dict[str, Any]]:
    """The records of calls of a request id, when as many as expected are there and no more come."""
    for _ in range(20):
        await asyncio.sleep(0.15)
        wanted = audit_pb2.QueryRecordsRequest(request_id=request_id, kind="call")
        found = [json.loads(each.record) async for each in audit_stub(secured.as_admin()).QueryRecords(wanted)]
        if len(found) >= count:
            break
    return found


async def _send(secured: Secured, path: str, payload: bytes, *metadata: tuple[str, Any], token: str = "") -> str:
    """Send bytes; returns the status that came back."""
    async with grpc.aio.insecure_channel(secured.service.grpc_address) as channel:
        sent = [*metadata, ("authorization", f"Bearer {token or secured.admin_key}")]
        try:
            await channel.unary_unary(path)(payload, metadata=sent, timeout=5)
        except grpc.aio.AioRpcError as error:
            return error.code().name
    return "OK"


@pytest.mark.parametrize(
    ("path", "payload", "metadata", "status"),
    [
        (CHECK, b"\xff\xff\xff", (), "INVALID_ARGUMENT"),
        (CHECK, b"", (), "INVALID_ARGUMENT"),
        (CHECK, check_request(UNKNOWN_ID, QUESTION).SerializeToString(), (), "INVALID_ARGUMENT"),
        (CHECK, b"", (("traceparent", "00-" + "0" * 32 + "-0-zz"),), "INVALID_ARGUMENT"),
        (CHECK, b"", (("tracestate", "=,=,="),), "INVALID_ARGUMENT"),
        (CHECK, b"", (("traceparent-bin", b"\xff\0"), ("baggage", "%ff%zz")), "INVALID_ARGUMENT"),
        (CHECK, b"", (("user-agent-bin", b"\xff"),), "INVALID_ARGUMENT"),
    ],
)
async def test_a_refused_call(
    secured: Secured, path: str, payload: bytes, metadata: tuple[tuple[str, Any], ...], status: str
) -> None:
    """What cannot be answered is recorded with the code that its caller got."""
    assert await _send(secured, path, payload, ("x-request-id", "odd-1"), *metadata) == status
    (record,) = await _recorded(secured, "odd-1")
    assert (record["code"], record["call"], record["principal"]) == (status, path, "key/root")
    assert record["request_bytes"] == len(payload)


@pytest.mark.parametrize("transport", ["grpcio"], indirect=True)
@pytest.mark.parametrize("path", ["/openfga.v1.OpenFGAService/Nothing", "/authz.v1.AuditService/Nothing"])
async def test_a_call_that_does_not_exist(secured: Secured, path: str) -> None:
    """It is recorded like any other, but for its name; native refuses it before it reaches us."""
    assert await _send(secured, path, b"x", ("x-request-id", "odd-1")) == "UNIMPLEMENTED"
    (record,) = await _recorded(secured, "odd-1")
    assert (record["code"], record["call"], record["principal"]) == ("UNIMPLEMENTED", "/unknown/unknown", "key/root")


async def test_a_call_with_forged_proof(secured: Secured) -> None:
    """Nobody is recorded as its principal, and nothing of the proof."""
    assert (
        await _send(secured, CHECK, b"", ("x-request-id", "forged-1"), token="forged.secret.token") == "UNAUTHENTICATED"
    )
    (record,) = await _recorded(secured, "forged-1")
    assert (record["principal"], record["authentication"], record["peer"]) == ("anonymous", "none", "127.0.0.1")
    assert "secret" not in json.dumps(record)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 1e308])
async def test_a_body_that_has_no_json_form(secured: Secured, number: float) -> None:
    """While bodies are captured nobody avoids the record, or loses an answer, by values that JSON lacks."""
    admin = secured.as_admin()
    store = await admin.world()
    capture = audit_pb2.StartCaptureRequest(call="Check", store_id=store)
    capture.expires_at.FromSeconds(int(time.time()) + 600)
    await audit_stub(admin).StartCapture(capture)
    request = check_request(store, QUESTION)
    request.context.CopyFrom(Struct(fields={"x": Value(number_value=number), "y": Value(string_value="kept")}))
    status = await _send(secured, CHECK, request.SerializeToString(), ("x-request-id", "nan-1"))
    (record,) = await _recorded(secured, "nan-1")
    assert record["code"] == status
    assert record["body"]["context"] == {"x": number if math.isfinite(number) else str(number), "y": "kept"}
    if status == "OK":
        assert record["decision"] == "denied"


async def test_a_call_that_its_caller_gives_up(secured: Secured) -> None:
    """Cancelled calls are recorded, once."""
    admin = secured.as_admin()
    async with grpc.aio.insecure_channel(secured.service.grpc_address) as channel:
        sent = [("authorization", f"Bearer {secured.admin_key}"), ("x-request-id", "gone-1")]
        request = audit_pb2.QueryRecordsRequest(follow=True).SerializeToString()
        stream = channel.unary_stream("/authz.v1.AuditService/QueryRecords")(request, metadata=sent)
        await admin.world()
        await stream.read()
        stream.cancel()
        (record,) = await _recorded(secured, "gone-1")
    assert record["code"] == "CANCELLED"


async def test_a_call_whose_time_is_over(secured: Secured) -> None:
    """The deadline of the caller ends a call, which is recorded once."""
    async with grpc.aio.insecure_channel(secured.service.grpc_address) as channel:
        sent = [("authorization", f"Bearer {secured.admin_key}"), ("x-request-id", "late-1")]
        request = audit_pb2.QueryRecordsRequest(follow=True, principal="nobody").SerializeToString()
        stream = channel.unary_stream("/authz.v1.AuditService/QueryRecords")(request, metadata=sent, timeout=0.3)
        with pytest.raises(grpc.aio.AioRpcError):
            await stream.read()
        (record,) = await _recorded(secured, "late-1")
    assert record["code"] in ("DEADLINE_EXCEEDED", "CANCELLED")


async def test_calls_while_the_server_drains(tmp_path: Path, issuer: LocalIssuer) -> None:
    """Calls that come while it drains are refused and recorded; those under way are recorded too."""
    async with running(tmp_path, issuer, shutdown_grace=3.0) as secured:  # noqa: SIM117 - the second needs the first
        async with grpc.aio.insecure_channel(secured.service.grpc_address) as channel:
            sent = [("authorization", f"Bearer {secured.admin_key}"), ("x-request-id", "drain-1")]
            request = audit_pb2.QueryRecordsRequest(follow=True, principal="nobody").SerializeToString()
            stream = channel.unary_stream("/authz.v1.AuditService/QueryRecords")(request, metadata=sent)
            await asyncio.sleep(0.2)
            draining = asyncio.create_task(secured.service.listeners.grpc.drain(0.5))
            await asyncio.sleep(0.02)
            refused = channel.unary_unary(CHECK)(b"", metadata=[*sent[:1], ("x-request-id", "drain-2")])
            with pytest.raises(grpc.aio.AioRpcError):
                await refused
            await draining
            stream.cancel()
    async with running(tmp_path, issuer) as secured:
        (first,) = await _recorded(secured, "drain-1")
        (second,) = await _recorded(secured, "drain-2")
    assert first["code"] == "CANCELLED"
    assert (second["code"], second["reason"]) == ("UNAVAILABLE", "unavailable")


async def test_a_batch_is_recorded_in_the_order_that_it_was_asked(secured: Secured) -> None:
    """Each item with its own decision, the failed one too."""
    admin = secured.as_admin()
    store = await admin.world()
    await admin.put(store, "document:2#viewer@user:anne")
    items = []
    for number, relation in ((1, "viewer"), (2, "viewer"), (3, "nothing"), (2, "viewer")):
        key = pb.CheckRequestTupleKey(object=f"document:{number}", relation=relation, user="user:anne")
        items.append(pb.BatchCheckItem(tuple_key=key, correlation_id=f"id-{9 - len(items)}"))
    raw = pb.BatchCheckRequest(store_id=store, checks=items).SerializeToString()
    assert await _send(secured, "/openfga.v1.OpenFGAService/BatchCheck", raw, ("x-request-id", "batch-1")) == "OK"
    (record,) = await _recorded(secured, "batch-1")
    found = [(each["object"], each.get("decision")) for each in record["items"]]
    assert found == [
        ("document:1", "denied"),
        ("document:2", "allowed"),
        ("document:3", "failed"),
        ("document:2", "allowed"),
    ]
    assert record["revision"] > 0
    assert record["response_bytes"] > 0
