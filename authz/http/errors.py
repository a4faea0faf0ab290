"""Failures as HTTP tells them. Used by `calls`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import orjson

from authz.codes import NUMBERS, http_status

if TYPE_CHECKING:
    from authz.rpc.exchange import Failure

UNDEFINED_ENDPOINT = "undefined_endpoint"
_UNAUTHENTICATED = 401
_INTERNAL = NUMBERS["internal_error"]

Header = tuple[bytes, bytes]


def status_of(failure: Failure) -> int:
    """The HTTP status of a failure: that of its OpenFGA code."""
    return http_status(NUMBERS.get(failure.reason, _INTERNAL))


def error_body(reason: str, message: str) -> bytes:
    """`{"code", "message"}`, as OpenFGA answers."""
    return orjson.dumps({"code": reason, "message": message})


def error_headers(failure: Failure, status: int) -> list[Header]:
    """What a refusal says beside its body: when to come again, and that a proof is wanted (RFC 9110, RFC 6750)."""
    found: list[Header] = []
    if failure.retry_after:
        found.append((b"retry-after", b"%d" % math.ceil(failure.retry_after)))
    if status == _UNAUTHENTICATED:
        found.append((b"www-authenticate", b"Bearer"))
    return found
