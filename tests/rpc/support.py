"""Calls through the chain without a socket. Used by the tests in this folder."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, cast

from google.protobuf.message import Message

from authz._proto.openfga.v1 import openfga_service_pb2 as pb
from authz.call import Call
from authz.clock import Clock, SystemClock
from authz.commands.limits import Limits
from authz.commands.services import Services
from authz.rpc.edge import Edge
from authz.rpc.exchange import Exchange, Handler, Method

UNKNOWN_ID = "01HZZZZZZZZZZZZZZZZZZZZZZZ"
_numbers = itertools.count()


def edge(*, raise_bugs: bool = True, clock: Clock | None = None) -> Edge:
    """An edge over no datastore, for handlers that need none."""
    nothing = cast("Any", None)
    services = Services(nothing, nothing, nothing, nothing, clock or SystemClock(), Limits())
    return Edge(services, raise_bugs)


def method(handler: Handler, request: type[Message] = pb.GetStoreRequest, **details: Any) -> Method:
    """A method that no other test has, answered by `handler`."""
    return Method("test.Service", f"Method{next(_numbers)}", request, handler, **details)


def exchange(
    served: Method,
    request: Message | bytes = b"",
    *,
    metadata: tuple[tuple[str, str | bytes], ...] = (),
    seconds: float = 3.0,
) -> Exchange:
    """A call of a method."""
    payload = request if isinstance(request, bytes) else request.SerializeToString()
    return Exchange(served, Call(request_id="request-1"), metadata, payload, seconds)


def well_formed() -> pb.GetStoreRequest:
    """A request that passes validation."""
    return pb.GetStoreRequest(store_id=UNKNOWN_ID)


def raising(error: BaseException) -> Handler:
    """A handler that fails."""

    async def handler(_services: Services, _exchange: Exchange, _request: Any) -> Message | None:
        raise error

    return handler


def answering(answer: Callable[[], Message]) -> Handler:
    """A handler that answers."""

    async def handler(_services: Services, _exchange: Exchange, _request: Any) -> Message | None:
        return answer()

    return handler
