"""One gRPC connection to a running server. The only module of the program that knows gRPC; used by `session`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status.rpc_status import from_call

from authz._proto.openfga.v1.openfga_service_pb2_grpc import OpenFGAServiceStub
from authz.addresses import is_loopback
from authz.cli.errors import ServiceProblem, UsageProblem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from google.protobuf.message import Message

MAX_ANSWER_BYTES = 64 * 1024 * 1024

_TRANSIENT = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.CANCELLED,
    }
)


@dataclass(frozen=True, slots=True)
class Server:
    """Where the server is and how to speak to it. `timeout` is in seconds; `ca`, and `cert` with its `key`, are PEM."""

    address: str
    timeout: float
    token: str = ""
    ca: bytes | None = None
    cert: bytes | None = None
    key: bytes | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A message with what travelled beside it."""

    message: Any
    metadata: Mapping[str, str]


class Connection:
    """A channel to one server; safe to use from several threads."""

    def __init__(self, server: Server) -> None:
        if server.token and server.ca is None and not is_loopback(server.address):
            raise UsageProblem(
                f"refusing to send the token to `{server.address}` in clear text: name the authority with `--tls-ca`"
            )
        self._server = server
        self._metadata = (("authorization", f"Bearer {server.token}"),) if server.token else ()
        options = [
            ("grpc.max_receive_message_length", MAX_ANSWER_BYTES),
            ("grpc.enable_http_proxy", 0),
        ]
        if server.ca is None:
            self._channel = grpc.insecure_channel(server.address, options)
        else:
            credentials = grpc.ssl_channel_credentials(server.ca, server.key, server.cert)
            self._channel = grpc.secure_channel(server.address, credentials, options)
        self._stubs: list[Any] = [OpenFGAServiceStub(self._channel)]

    def call(self, method: str, request: Message, **headers: str) -> Answer:
        """Call a method of any service; keyword arguments become metadata, with `-` for `_`.

        Raises:
            ServiceProblem: the service refused, or cannot be reached.

        """
        try:
            message, call = self._method(method).with_call(
                request, timeout=self._server.timeout, metadata=self._beside(headers)
            )
        except grpc.RpcError as error:
            raise self._problem(error) from None
        return Answer(message, _texts(call.initial_metadata(), call.trailing_metadata()))

    def stream(
        self, method: str, request: Message, found: dict[str, str], *, is_endless: bool = False, **headers: str
    ) -> Iterator[Any]:
        """Call a streaming method; its metadata is put into `found`: some before the first message, all at the end.

        One that is endless runs until the caller or the server ends it, whatever time a call is given.

        Raises:
            ServiceProblem: as for `call`.

        """
        timeout = None if is_endless else self._server.timeout
        call = self._method(method)(request, timeout=timeout, metadata=self._beside(headers))
        try:
            found |= _texts(call.initial_metadata())
            yield from call
            found |= _texts(call.trailing_metadata())
        except grpc.RpcError as error:
            raise self._problem(error) from None
        finally:
            call.cancel()

    def health(self) -> str:
        """What the server says of its health: `serving`, `not_serving`, …

        Raises:
            ServiceProblem: it cannot be reached, or does not say.

        """
        stub = health_pb2_grpc.HealthStub(self._channel)
        try:
            found = stub.Check(health_pb2.HealthCheckRequest(), timeout=self._server.timeout, metadata=self._metadata)
        except grpc.RpcError as error:
            raise self._problem(error) from None
        return str(health_pb2.HealthCheckResponse.ServingStatus.Name(found.status)).lower()

    def close(self) -> None:
        """End the connection."""
        self._channel.close()

    def _method(self, name: str) -> Any:
        """A method of any of the services; no two have one of the same name."""
        if not hasattr(self._stubs[0], name) and len(self._stubs) == 1:
            self._stubs += [make(self._channel) for make in _own_services()]
        return next(getattr(stub, name) for stub in self._stubs if hasattr(stub, name))

    def _beside(self, headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
        return (*self._metadata, *((name.replace("_", "-"), value) for name, value in headers.items() if value))

    def _problem(self, error: Any) -> ServiceProblem:
        code, message = error.code(), error.details() or ""
        reason = _reason(error)
        is_transient = code in _TRANSIENT
        if reason:
            is_refusal = code in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.ABORTED)
            return ServiceProblem(
                f"{message} (reason: {reason})", reason=reason, is_transient=is_transient, is_refusal=is_refusal
            )
        address = self._server.address
        if code is grpc.StatusCode.UNAVAILABLE:
            text = (
                f"no server answers at `{address}` ({_short(message)}): start one with"
                f" `authz serve --grpc-addr {address}`, or name another with `--addr`"
            )
            return ServiceProblem(text, is_transient=True)
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            text = f"`{address}` gave no answer within {self._server.timeout:g} s: allow more with `--timeout`"
            return ServiceProblem(text, is_transient=True)
        # Without a reason it is the transport that refuses: the message is too large.
        is_refusal = code is grpc.StatusCode.RESOURCE_EXHAUSTED
        text = f"`{address}` answered with {code.name.lower()}: {_short(message)}"
        return ServiceProblem(text, is_transient=is_transient and not is_refusal, is_refusal=is_refusal)


def _own_services() -> list[Any]:
    """Stubs of what we add to the interface; few commands need them."""
    from authz._proto.authz.v1.access_pb2_grpc import AccessServiceStub
    from authz._proto.authz.v1.audit_pb2_grpc import AuditServiceStub

    return [AccessServiceStub, AuditServiceStub]


def _reason(error: Any) -> str:
    try:
        status = from_call(error)
    except ValueError:  # details that do not belong to the status
        return ""
    if status is None:
        return ""
    info = ErrorInfo()
    for detail in status.details:
        if detail.Is(ErrorInfo.DESCRIPTOR):
            detail.Unpack(info)
            return str(info.reason)
    return ""


def _texts(*parts: Any) -> dict[str, str]:
    return {key: value for part in parts for key, value in part or () if isinstance(value, str)}


def _short(message: str) -> str:
    """The cause at the end of a chain of gRPC's own words."""
    text = message.rpartition("; last error: ")[2] or message
    return text.removeprefix("UNKNOWN: ").removeprefix("UNAVAILABLE: ") or "no details"
