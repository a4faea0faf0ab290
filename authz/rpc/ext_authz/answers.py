"""What Envoy is told to do with a request. Used by `gateway`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import quote

from google.rpc.code_pb2 import OK, PERMISSION_DENIED, UNAUTHENTICATED, UNAVAILABLE
from google.rpc.status_pb2 import Status

from authz._proto.envoy.config.core.v3.base_pb2 import HeaderValue, HeaderValueOption
from authz._proto.envoy.service.auth.v3.external_auth_pb2 import CheckResponse, DeniedHttpResponse, OkHttpResponse
from authz._proto.envoy.type.v3.http_status_pb2 import HttpStatus, StatusCode

DECISION, USER, RELATION, OBJECT = "x-authz-decision", "x-authz-user", "x-authz-relation", "x-authz-object"
TOLD = (DECISION, USER, RELATION, OBJECT)
"""Headers to whom a request is forwarded: only this service says what is in them."""
OVERRIDES = (
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-url",
    "x-rewrite-url",
)
"""Headers that make some take a request for another one than was asked about."""

_OVERWRITE = HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
_ASCII = "".join(chr(each) for each in range(0x21, 0x7F) if chr(each) != "%")
_STATUSES = {
    401: (UNAUTHENTICATED, StatusCode.Unauthorized),
    403: (PERMISSION_DENIED, StatusCode.Forbidden),
    503: (UNAVAILABLE, StatusCode.ServiceUnavailable),
}


class Passes:
    """Answers that forward a request. A client's copies of what this service says in headers never get through.

    Args:
        is_telling: whether to say what was decided.

    """

    def __init__(self, *, is_telling: bool) -> None:
        told = TOLD if is_telling else ()
        self._public = _passed({DECISION: "public"} if is_telling else {})
        self._allowed = _passed(dict.fromkeys(told, "allowed"))
        self._is_telling = is_telling

    def public(self) -> CheckResponse:
        """The request may be made by everybody."""
        return self._public

    def allowed(self, user: str, relation: str, object_: str) -> CheckResponse:
        """The check was allowed."""
        if not self._is_telling:
            return self._allowed
        # To copy a message costs a fraction of what it costs to make one.
        found = CheckResponse()
        found.CopyFrom(self._allowed)
        _, who, how, what = found.ok_response.headers
        who.header.value, how.header.value, what.header.value = _shown(user), _shown(relation), _shown(object_)
        return found


def denied(status: int, code: str, message: str, *, is_grpc: bool) -> CheckResponse:
    """Answer the request in place of whom it is meant for.

    Args:
        status: the HTTP status: 401, 403 or 503.
        code: its name in the body.
        message: what the sender may know.
        is_grpc: whether Envoy makes a status of gRPC of it, whose message is the body.

    """
    headers = [] if is_grpc else [_option("content-type", "application/json"), _option("cache-control", "no-store")]
    if status == 401:
        headers.append(_option("www-authenticate", "Bearer"))
    body = message if is_grpc else json.dumps({"code": code, "message": message})
    # INVARIANT: the status is never OK here, which alone makes Envoy forward a request.
    grpc_code, http_code = _STATUSES[status]
    return CheckResponse(
        status=Status(code=grpc_code, message=message),
        denied_response=DeniedHttpResponse(status=HttpStatus(code=http_code), headers=headers, body=body),
    )


def _option(name: str, value: str) -> HeaderValueOption:
    return HeaderValueOption(header=HeaderValue(key=name, value=value), append_action=_OVERWRITE)


def _passed(told: Mapping[str, str]) -> CheckResponse:
    headers = [_option(name, value) for name, value in told.items()]
    removed = [name for name in (*TOLD, *OVERRIDES) if name not in told]
    return CheckResponse(status=Status(code=OK), ok_response=OkHttpResponse(headers=headers, headers_to_remove=removed))


def _shown(name: str) -> str:
    return name if name.isascii() and "%" not in name else quote(name, safe=_ASCII)
