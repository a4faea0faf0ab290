"""Turn exceptions into failures with a standard status and an OpenFGA reason. A step of the chain."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import grpc
import structlog
from google.protobuf.any_pb2 import Any
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from authz.errors import AuthzError, Bug, DeadlineExceeded, Kind, Unavailable
from authz.rpc.deadline import Alarm
from authz.rpc.exchange import Exchange, Failure, Method, Proceed
from authz.rpc.validate import InvalidField

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from authz.rpc.edge import Edge

DOMAIN = "authz"
DETAILS = "grpc-status-details-bin"
# The message travels twice, percent-encoded and in base64, within the 8 KiB that clients accept as metadata.
MAX_MESSAGE_BYTES = 1024

_STATUS = {
    Kind.INVALID: grpc.StatusCode.INVALID_ARGUMENT,
    Kind.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    Kind.UNAUTHENTICATED: grpc.StatusCode.UNAUTHENTICATED,
    Kind.FORBIDDEN: grpc.StatusCode.PERMISSION_DENIED,
    Kind.ABORTED: grpc.StatusCode.ABORTED,
    Kind.EXHAUSTED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Kind.CANCELLED: grpc.StatusCode.CANCELLED,
    Kind.DEADLINE: grpc.StatusCode.DEADLINE_EXCEEDED,
    Kind.UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    Kind.PRECONDITION: grpc.StatusCode.FAILED_PRECONDITION,
    Kind.INTERNAL: grpc.StatusCode.INTERNAL,
}

_log = structlog.get_logger(__name__)


def failure_of(error: AuthzError) -> Failure:
    """The failure that a domain error becomes."""
    reason = error.field_reason if isinstance(error, InvalidField) else error.reason
    return Failure(_STATUS[error.kind], reason, _bounded(error.message))


def failure_of_unknown(request_id: str) -> Failure:
    """What a caller may know of an exception that nobody expected."""
    return Failure(grpc.StatusCode.INTERNAL, "internal_error", f"internal error, request id `{request_id}`")


def status_details(failure: Failure) -> bytes:
    """`google.rpc.Status` with one `ErrorInfo`, as it is sent in trailing metadata."""
    detail = Any()
    detail.Pack(ErrorInfo(reason=failure.reason, domain=DOMAIN))
    number: int = failure.status.value[0]
    raw: bytes = Status(code=number, message=failure.message, details=[detail]).SerializeToString()
    return raw


def errors(edge: Edge, method: Method, inner: Proceed) -> Proceed:
    """The step: ends every call with an answer or a failure, at its deadline at the latest."""
    gate = edge.gate

    async def catch(exchange: Exchange) -> Message | None:
        if not gate.is_open:
            exchange.failure = failure_of(Unavailable("the server is shutting down: try again elsewhere"))
            return None
        alarm = Alarm(exchange, exchange.seconds + method.grace)
        try:
            return await inner(exchange)
        except Bug as error:
            if edge.raise_bugs:
                raise
            exchange.failure = _log_unknown(exchange, error)
        except AuthzError as error:
            exchange.failure = failure_of(error)
        except asyncio.CancelledError:
            exchange.call.cancelled = True
            if not alarm.explains():
                raise
            exchange.failure = failure_of(DeadlineExceeded("the deadline of the call has passed"))
        except Exception as error:  # noqa: BLE001 - the last line: whatever it is, the caller gets a clear answer
            exchange.failure = _log_unknown(exchange, error)
        finally:
            alarm.stop()
        return None

    return catch


def _log_unknown(exchange: Exchange, error: Exception) -> Failure:
    request_id = exchange.call.request_id
    _log.error("internal error", request_id=request_id, grpc_method=exchange.method.name, exc_info=error)
    return failure_of_unknown(request_id)


def _bounded(message: str) -> str:
    raw = message.encode(errors="replace")
    if len(raw) <= MAX_MESSAGE_BYTES:
        return raw.decode()
    return raw[:MAX_MESSAGE_BYTES].decode(errors="ignore") + "…"
