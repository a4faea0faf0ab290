"""What Envoy tells of a request, read once and strictly. Used by `gateway` and `rules`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from authz._proto.envoy.service.auth.v3.attribute_context_pb2 import AttributeContext
from authz._proto.envoy.service.auth.v3.external_auth_pb2 import CheckRequest
from authz.rpc.ext_authz.paths import Segments, split_target
from authz.rpc.ext_authz.refusals import Refused

# As Envoy itself tells them apart, to the letter.
_GRPC = re.compile(r"application/grpc(?:\+.*)?")
_HOST = re.compile(r"([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")


class Asked(NamedTuple):
    """A request that a gateway asks about."""

    method: str
    segments: Segments
    host: str
    """In lower case, without its port."""
    is_grpc: bool
    headers: Mapping[str, str]
    """By name in lower case; several of one name are joined by commas."""
    attributes: AttributeContext
    """All that Envoy tells."""


def is_grpc(request: CheckRequest) -> bool:
    """Whether a request is a call of gRPC to Envoy, so that its sender understands answers of gRPC only."""
    return _is_call(headers_of(request.attributes.request.http))


def read_request(request: CheckRequest, reserved: frozenset[str]) -> Asked:
    """Read what Envoy tells.

    Args:
        request: the message.
        reserved: names of headers that mean something, here or behind the gateway.

    Raises:
        Refused: the request could be taken for another than it is.

    """
    attributes = request.attributes
    http = attributes.request.http
    headers = headers_of(http)
    for name in headers:
        # Some make no difference between these marks, and would take a client's header for one of the gateway's.
        if "_" in name and name.replace("_", "-") in reserved:
            raise Refused("the request has a header whose name is ambiguous")
    segments = split_target(http.path)
    if segments is None:
        raise Refused("the path of the request is not in its plain form")
    host = _HOST.fullmatch(http.host.lower())
    if host is None:
        raise Refused("the host of the request is malformed")
    return Asked(http.method, segments, host[1], _is_call(headers), headers, attributes)


def headers_of(http: AttributeContext.HttpRequest) -> Mapping[str, str]:
    """The headers of a request; Envoy gives them in one of two forms."""
    if not http.HasField("header_map"):
        return http.headers
    found: dict[str, str] = {}
    for each in http.header_map.headers:
        name = each.key.lower()
        # The mark that Envoy itself sets where text cannot be read.
        value = each.value or each.raw_value.decode(errors="replace").replace("\ufffd", "!")
        found[name] = f"{found[name]},{value}" if name in found else value
    return found


def header(asked: Asked, name: str) -> str:
    """The value of a header that is given once and can be read.

    Raises:
        Refused: it is not.

    """
    value = asked.headers.get(name, "")
    # A comma may come from two headers, of which everybody takes another; `!` stands for bytes that are no text.
    if not value or "," in value or "!" in value:
        raise Refused(f"the request needs one header `{name}` with a plain value")
    return value


def _is_call(headers: Mapping[str, str]) -> bool:
    return bool(_GRPC.fullmatch(headers.get("content-type") or ""))
