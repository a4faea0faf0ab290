"""One call on its way through the chain: what came in, what is known, what goes out. Made by the server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import grpc
from google.protobuf.message import Message

from authz.call import Call, Completed, Scope
from authz.commands.limits import Limits
from authz.commands.services import Services
from authz.rpc.reading import parse
from authz.tuples import TupleKey

Proceed = Callable[["Exchange"], Awaitable[Message | None]]
"""The rest of the chain; returns the answer, or None when there is a failure or all answers are sent."""

# The request of a handler is the message that its method declares; the table in `methods` is tested to agree.
Handler = Callable[[Services, "Exchange", Any], Awaitable[Message | None]]
"""Convert, command, convert."""

Reader = Callable[[type[Message], bytes], Message]
"""Reads a payload as a message; raises `InvalidRequest` when it is none."""

Deadline = Callable[[Limits], float]
"""How many seconds a method may take."""


def _whole(request: Message) -> Message:
    return request


class Failure(NamedTuple):
    """An error as the caller sees it."""

    status: grpc.StatusCode
    reason: str
    message: str
    retry_after: float = 0.0
    """After how many seconds it is worth trying again; 0 when that is not known."""


@dataclass(frozen=True, slots=True)
class Method:
    """One RPC: what it takes and who answers it."""

    service: str
    name: str
    request: type[Message]
    handler: Handler
    scope: Scope
    """The class of the call."""
    is_streaming: bool = False
    is_frequent: bool = False
    """Asked on every object access: logged at debug level only."""
    timeout: Deadline = lambda limits: limits.request_timeout
    grace: float = 0.0
    """Seconds beyond the deadline in which an answer that was cut short may still be sent."""
    store: str | None = None
    """The store that requests are about which name none; empty: there is none, and they must. None: not its matter."""
    recorded: Callable[[Message], Message] = _whole
    """What of a request may be recorded, where that is not all of it."""

    @property
    def path(self) -> str:
        """The path on the wire."""
        return f"/{self.service}/{self.name}"


async def _nowhere(_answer: Message) -> None:
    raise RuntimeError("this method answers once")


async def _as_before() -> None:
    """Nothing: who need not prove who it is stays who it is."""


@dataclass(slots=True)
class Exchange:
    """One call. `initial` and `trailing` are metadata to send; `failure` is set by the step `errors`."""

    method: Method
    call: Call
    metadata: tuple[tuple[str, str | bytes], ...]
    payload: bytes
    seconds: float
    """How long the call may take; `call.deadline` is when that ends."""
    read: Reader = parse
    """How the chain reads `payload`, once the caller is known."""
    request: Message | None = None
    """The message in `payload`, once the chain has read and validated it."""
    send: Callable[[Message], Awaitable[None]] = _nowhere
    """Sends one of many answers."""
    confirm: Callable[[], Awaitable[None]] = _as_before
    """Raises once the caller's proof is good no longer; for handlers that answer for a long time."""
    certificate: bytes | None = None
    """The caller's certificate as PEM, when the transport verified one."""
    store_id: str = ""
    model_id: str = ""
    keys: Sequence[TupleKey] = ()
    decisions: Sequence[bool | None] = ()
    results: int | None = None
    revision: int | None = None
    response_bytes: int = 0
    failure: Failure | None = None
    completed: Completed | None = None
    """The record of the call, once it has ended."""
    initial: list[tuple[str, str]] = field(default_factory=list)
    trailing: list[tuple[str, str]] = field(default_factory=list)

    def header(self, name: str) -> str:
        """The first value of a request's metadata, or the empty text."""
        for key, value in self.metadata:
            if key == name:
                return value if isinstance(value, str) else ""
        return ""
