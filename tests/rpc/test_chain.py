"""The chain: its order, and what each step does with what it meets."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
import structlog
from google.protobuf.message import Message

from authz._proto.authz.v1 import access_pb2, audit_pb2, authzen_pb2
from authz._proto.openfga.v1 import openfga_service_pb2 as pb
from authz.commands.services import Services
from authz.errors import AuthzError, Bug, Kind, StoreNotFound
from authz.logs import configure_logs
from authz.rpc.chain import CHAIN, compose
from authz.rpc.exchange import Exchange
from authz.rpc.methods import METHODS
from tests.rpc.support import answering, edge, exchange, method, raising, well_formed

pytestmark = pytest.mark.anyio


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Everything that is logged, as JSON lines from debug level on."""
    stream = io.StringIO()
    configure_logs("json", "debug", stream)
    yield stream
    structlog.reset_defaults()


def lines(log: io.StringIO) -> list[dict[str, Any]]:
    """The records so far."""
    return [json.loads(line) for line in log.getvalue().splitlines()]


async def test_the_order_of_the_steps() -> None:
    """
    Outermost first, each with its reason: who calls is known before the request is read, and recorded in any case.
    """
    assert tuple(link.name for link in CHAIN) == (
        "observe",
        "audit",
        "errors",
        "admit",
        "limit_peer",
        "authenticate",
        "deprecation",
        "limit",
        "validate",
        "authorize",
        "limit_store",
    )
    assert all(link.reason for link in CHAIN)


async def test_every_rpc_of_the_interface_is_served() -> None:
    """
    The table of methods names each RPC once, with its own request and streaming.
    """
    services = [
        *pb.DESCRIPTOR.services_by_name.values(),
        *access_pb2.DESCRIPTOR.services_by_name.values(),
        *audit_pb2.DESCRIPTOR.services_by_name.values(),
        *authzen_pb2.DESCRIPTOR.services_by_name.values(),
    ]
    expected = {
        (service.full_name, rpc.name, rpc.input_type.full_name, rpc.server_streaming)
        for service in services
        for rpc in service.methods
    }
    served = [(m.service, m.name, m.request.DESCRIPTOR.full_name, m.is_streaming) for m in METHODS]
    assert set(served) == expected
    assert len(served) == len(expected)


async def test_an_answer_passes(log: io.StringIO) -> None:
    """
    A valid request reaches the handler, and its answer comes back with one line in the log.
    """
    served = method(answering(lambda: pb.GetStoreResponse(name="shop")))
    call = exchange(served, well_formed(), metadata=(("user-agent", "tester" * 100),))
    answer = await compose(edge(), served)(call)
    assert answer == pb.GetStoreResponse(name="shop")
    (line,) = lines(log)
    assert {
        "event": "rpc",
        "level": "info",
        "grpc_service": "test.Service",
        "grpc_method": served.name,
        "grpc_type": "unary",
        "grpc_code": "OK",
        "request_id": "request-1",
        "store_id": well_formed().store_id,
        "authorization_model_id": "",
        "reason": "",
    }.items() <= line.items()
    assert line["query_duration_ms"] >= 0
    assert len(line["user_agent"]) == 200


async def test_frequent_calls_are_logged_at_debug_unless_they_fail(log: io.StringIO) -> None:
    """
    A check that is answered is a debug line, one that is refused an info line.
    """
    served = method(answering(pb.GetStoreResponse), is_frequent=True)
    proceed = compose(edge(), served)
    await proceed(exchange(served, well_formed()))
    await proceed(exchange(served, b"\xff"))
    assert [(line["level"], line["grpc_code"]) for line in lines(log)] == [
        ("debug", "OK"),
        ("info", "INVALID_ARGUMENT"),
    ]


async def test_a_domain_error_becomes_a_failure(log: io.StringIO) -> None:
    """
    Status and reason come from the error, and the log says so.
    """
    served = method(raising(StoreNotFound("no store `x`")))
    call = exchange(served, well_formed())
    assert await compose(edge(), served)(call) is None
    assert call.failure is not None
    assert call.failure == (grpc.StatusCode.NOT_FOUND, "store_id_not_found", "no store `x`", 0.0)
    assert [(line["grpc_code"], line["reason"]) for line in lines(log)] == [("NOT_FOUND", "store_id_not_found")]


@pytest.mark.parametrize("error", [ValueError("secret detail"), KeyError("secret detail"), Bug("secret detail")])
async def test_an_unknown_error_tells_the_caller_nothing(log: io.StringIO, error: Exception) -> None:
    """
    The caller gets INTERNAL with the request id; the log has the traceback once.
    """
    served = method(raising(error))
    call = exchange(served, well_formed())
    assert await compose(edge(raise_bugs=False), served)(call) is None
    assert call.failure is not None
    assert call.failure[:2] == (grpc.StatusCode.INTERNAL, "internal_error")
    assert call.failure.message == "internal error, request id `request-1`"
    internal, rpc = lines(log)
    assert (internal["level"], internal["request_id"]) == ("error", "request-1")
    assert "Traceback" in internal["exception"]
    assert rpc["grpc_code"] == "INTERNAL"


async def test_a_bug_raises_in_tests(log: io.StringIO) -> None:
    """
    Where bugs are to be seen, a broken invariant is not hidden.
    """
    served = method(raising(Bug("broken")))
    with pytest.raises(Bug):
        await compose(edge(), served)(exchange(served, well_formed()))
    assert [line["grpc_code"] for line in lines(log)] == ["UNKNOWN"]


async def test_a_call_ends_at_its_deadline(log: io.StringIO) -> None:
    """
    A handler that waits too long is cancelled, told so, and the caller gets DEADLINE_EXCEEDED.
    """
    told: list[bool] = []

    async def slow(_services: Services, call: Exchange, _request: Any) -> Message | None:
        try:
            await asyncio.sleep(30)
        finally:
            told.append(call.call.cancelled)
        return None

    served = method(slow)
    call = exchange(served, well_formed(), seconds=0.01)
    assert await compose(edge(), served)(call) is None
    assert call.failure is not None
    assert call.failure[:2] == (grpc.StatusCode.DEADLINE_EXCEEDED, "deadline_exceeded")
    assert told == [True]
    assert [line["grpc_code"] for line in lines(log)] == ["DEADLINE_EXCEEDED"]
    current = asyncio.current_task()
    assert current is not None
    assert current.cancelling() == 0


async def test_a_list_may_still_be_sent_in_its_grace(log: io.StringIO) -> None:
    """
    A method with a grace is not ended right at the deadline.
    """

    async def late(_services: Services, _call: Exchange, _request: Any) -> Message | None:
        await asyncio.sleep(0.05)
        return pb.GetStoreResponse()

    served = method(late, grace=5.0)
    assert await compose(edge(), served)(exchange(served, well_formed(), seconds=0.01)) is not None


async def test_a_caller_that_leaves_stops_the_work(log: io.StringIO) -> None:
    """
    A cancelled call is marked, ends as cancelled and is logged as such.
    """
    begun = asyncio.Event()

    async def slow(_services: Services, _call: Exchange, _request: Any) -> Message | None:
        begun.set()
        await asyncio.sleep(30)
        return None

    served = method(slow)
    call = exchange(served, well_formed())
    task = asyncio.ensure_future(compose(edge(), served)(call))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert call.call.cancelled
    assert [line["grpc_code"] for line in lines(log)] == ["CANCELLED"]


async def test_nothing_is_looked_at_before_validation() -> None:
    """
    A handler never sees a request that breaks a rule.
    """
    served = method(raising(AssertionError("must not be reached")))
    call = exchange(served, pb.GetStoreRequest(store_id="bad"))
    await compose(edge(), served)(call)
    assert call.failure is not None
    assert call.failure.status is grpc.StatusCode.INVALID_ARGUMENT
    assert (call.request, call.store_id) == (None, "")


@pytest.mark.parametrize("kind", Kind)
async def test_every_kind_has_a_status(log: io.StringIO, kind: Kind) -> None:
    """
    Whatever family an error belongs to, the caller gets a standard status.
    """
    made = type("Made", (AuthzError,), {"kind": kind, "reason": "made"})
    served = method(raising(made("text")))
    call = exchange(served, well_formed())
    await compose(edge(), served)(call)
    assert call.failure is not None
    assert (call.failure.reason, call.failure.message) == ("made", "text")


async def test_a_draining_server_refuses_new_calls(log: io.StringIO) -> None:
    """
    Once the gate is closed, calls end as UNAVAILABLE, which clients try again elsewhere.
    """
    served = method(raising(AssertionError("must not be reached")))
    closed = edge()
    closed.gate.is_open = False
    call = exchange(served, well_formed())
    await compose(closed, served)(call)
    assert call.failure is not None
    assert call.failure[:2] == (grpc.StatusCode.UNAVAILABLE, "unavailable")
    assert [line["grpc_code"] for line in lines(log)] == ["UNAVAILABLE"]
