"""Turn exceptions into failures with a standard status and an OpenFGA reason. A step of the chain."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

import grpc
import structlog
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from authz.errors import AuthzError, Bug, DeadlineExceeded, Kind, RateLimited, Unavailable
from authz.rpc.deadline import Alarm
from authz.rpc.exchange import Exchange, Failure, Method, Proceed
from authz.rpc.validate import InvalidField

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from authz.rpc.edge import Edge

DOMAIN = "authz"
DETAILS = "grpc-status-details-bin"
RETRY_AFTER = "retry-after"
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
    retry_after = error.retry_after if isinstance(error, RateLimited) else 0.0
    return Failure(_STATUS[error.kind], reason, _bounded(error.message), retry_after)


def failure_of_unknown(request_id: str) -> Failure:
    """What a caller may know of an exception that nobody expected."""
    return Failure(grpc.StatusCode.INTERNAL, "internal_error", f"internal error, request id `{request_id}`")


def refusal_metadata(failure: Failure) -> list[tuple[str, str | bytes]]:
    """What is sent in trailing metadata with a failure: its details, and when to come again, as HTTP says it."""
    metadata: list[tuple[str, str | bytes]] = [(DETAILS, status_details(failure))]
    if failure.retry_after:
        metadata.append((RETRY_AFTER, str(math.ceil(failure.retry_after))))
    return metadata


def status_details(failure: Failure) -> bytes:
    """`google.rpc.Status` with an `ErrorInfo`, and a `RetryInfo` when it is known when to come again."""
    status = Status(code=failure.status.value[0], message=failure.message)
    status.details.add().Pack(ErrorInfo(reason=failure.reason, domain=DOMAIN))
    if failure.retry_after:
        delay = Duration()
        # Up: who waits as long as told must be admitted.
        delay.FromMilliseconds(math.ceil(failure.retry_after * 1000))
        status.details.add().Pack(RetryInfo(retry_delay=delay))
    raw: bytes = status.SerializeToString()
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
