"""Calls through the chain without a socket. Used by the tests in this folder."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, cast

from google.protobuf.message import Message

from authz._proto.openfga.v1 import openfga_service_pb2 as pb
from authz.access.authorization import Authorizer
from authz.audit.captures import Captures
from authz.audit.keys import FixedKeys, stored_key
from authz.audit.recorder import Policy, Recorder
from authz.audit.redaction import Redaction
from authz.audit.sinks.sink import Sink
from authz.call import Call, Scope
from authz.clock import Clock, SystemClock
from authz.commands.limits import Limits
from authz.commands.services import Services
from authz.rpc.edge import Edge
from authz.rpc.exchange import Exchange, Handler, Method
from authz.telemetry import Telemetry

UNKNOWN_ID = "01HZZZZZZZZZZZZZZZZZZZZZZZ"
_numbers = itertools.count()


class Everybody(Authorizer):
    """Rights over no datastore: every call is allowed."""

    def __init__(self) -> None:
        """Nothing to ask."""

    def gate(self, path: str, scope: Scope) -> Any:
        """A gate that is open."""

        async def allows(_call: Call, _store_id: str, _request: object) -> bool:
            return True

        return allows


def recorder(clock: Clock | None = None, *sinks: Sink) -> Recorder:
    """A recorder with these sinks; it must be started when there are any."""
    time = clock or SystemClock()
    redaction = Redaction((), FixedKeys(stored_key(b"k" * 32)))
    return Recorder(sinks, Policy(), redaction, Captures(time), time)


def edge(*, raise_bugs: bool = True, clock: Clock | None = None, **parts: Any) -> Edge:
    """An edge over no datastore, for handlers that need none; what is not among the parts is off."""
    nothing = cast("Any", None)
    time = clock or SystemClock()
    services = Services(nothing, nothing, nothing, nothing, time, Limits(), nothing, nothing, nothing)
    given = {"authorizer": Everybody(), "recorder": recorder(time), "telemetry": Telemetry.off(time), **parts}
    return Edge(services, raise_bugs=raise_bugs, **given)


def method(handler: Handler, request: type[Message] = pb.GetStoreRequest, **details: Any) -> Method:
    """A method that no other test has, answered by `handler`."""
    details.setdefault("scope", Scope.READ)
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
