"""Turn what gRPC raises into the errors of the client. Called wherever a call is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from authz.client import errors
from authz.codes import NAMES

if TYPE_CHECKING:
    from collections.abc import Iterable

_DETAILS = "grpc-status-details-bin"
_SHOWN = 1024
_Code = grpc.StatusCode

_CLASSES: dict[grpc.StatusCode, type[errors.ClientError]] = {
    _Code.INVALID_ARGUMENT: errors.InvalidRequest,
    _Code.OUT_OF_RANGE: errors.InvalidRequest,
    _Code.ALREADY_EXISTS: errors.InvalidRequest,
    _Code.NOT_FOUND: errors.NotFound,
    _Code.UNIMPLEMENTED: errors.NotFound,
    _Code.ABORTED: errors.Conflict,
    _Code.UNAUTHENTICATED: errors.Unauthenticated,
    _Code.PERMISSION_DENIED: errors.Forbidden,
    _Code.UNAVAILABLE: errors.Unavailable,
    _Code.CANCELLED: errors.Unavailable,
    _Code.DEADLINE_EXCEEDED: errors.DeadlineExceeded,
    _Code.RESOURCE_EXHAUSTED: errors.RateLimited,
}
# After these the write may have been applied, whoever said so: the server, or grpc in its place.
_UNCERTAIN = frozenset(
    {
        _Code.UNAVAILABLE,
        _Code.CANCELLED,
        _Code.DEADLINE_EXCEEDED,
        _Code.INTERNAL,
        _Code.UNKNOWN,
        _Code.DATA_LOSS,
    }
)


def failure_of(error: Any, address: str, *, is_write: bool, has_token: bool) -> errors.ClientError:
    """The error to raise in place of one of gRPC. `has_token` says whether the call named a consistency token."""
    code: grpc.StatusCode = error.code()
    reason, retry_after = _details(error.trailing_metadata() or ())
    message = _message(code, error.details() or "", reason, address)
    uncertain = is_write and code in _UNCERTAIN
    if has_token and code is _Code.INVALID_ARGUMENT and _is_about_token(message):
        return errors.UnknownToken(
            f"{message}: it was made before the service was restored, failed over or given another key,"
            " or for another store",
            reason,
        )
    kind = _CLASSES.get(code, errors.ServiceFailed)
    if kind is errors.RateLimited:
        # A message that is too large is refused by the transport, in the same words as a rate.
        if not reason:
            return errors.InvalidRequest(message, "exceeded_entity_limit")
        return errors.RateLimited(message, reason, retry_after=retry_after)
    return kind(message, reason, may_have_applied=uncertain)


def _is_about_token(message: str) -> bool:
    # The public interface has no code of its own for tokens.
    return "consistency token" in message or "no longer kept" in message


def _details(metadata: Iterable[tuple[str, str | bytes]]) -> tuple[str, float]:
    """The reason that the service gave, and after how many seconds it may be asked again; empty and 0 without them."""
    raw = next((value for key, value in metadata if key == _DETAILS), b"")
    status, info, retry = Status(), ErrorInfo(), RetryInfo()
    try:
        status.ParseFromString(raw if isinstance(raw, bytes) else b"")
        for detail in status.details:
            _ = detail.Unpack(info) or detail.Unpack(retry)
    except DecodeError:
        return "", 0.0
    delay = retry.retry_delay
    return info.reason or NAMES.get(status.code, ""), max(0.0, delay.seconds + delay.nanos / 1e9)


def _message(code: grpc.StatusCode, details: str, reason: str, address: str) -> str:
    if reason:
        return details[:_SHOWN]
    if code is _Code.UNAVAILABLE:
        return f"no server answers at `{address}`: {_cause(details)}"
    if code is _Code.DEADLINE_EXCEEDED:
        return f"`{address}` gave no answer in time"
    return f"`{address}` answered with {code.name.lower()}: {_cause(details)}"


def _cause(details: str) -> str:
    """The cause at the end of a chain of gRPC's own words."""
    text = details.rpartition("; last error: ")[2] or details
    return text.removeprefix("UNKNOWN: ").removeprefix("UNAVAILABLE: ")[:_SHOWN] or "no details"
