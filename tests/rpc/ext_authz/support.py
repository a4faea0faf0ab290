"""Requests as Envoy describes them, and settings of gateways. Used by the tests in this folder and by attacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from authz._proto.envoy.service.auth.v3.external_auth_pb2 import CheckRequest
from authz.settings.ext_authz import ExtAuthzSettings

STORE = "01HZZZZZZZZZZZZZZZZZZZZZZZ"
VIEW = {
    "methods": ["GET"],
    "path": "/documents/{id}",
    "relation": "viewer",
    "object": "document:{id}",
    "user": "user:{jwt.sub}",
}


def settings(*rules: Mapping[str, Any], **more: Any) -> ExtAuthzSettings:
    """Settings with these rules; with one about viewing documents if none are given."""
    return ExtAuthzSettings.model_validate({"store": STORE, "rules": list(rules or (VIEW,)), **more})


def rule(**changes: Any) -> dict[str, Any]:
    """The rule about viewing documents with other members; those that are None are left out."""
    return {name: value for name, value in {**VIEW, **changes}.items() if value is not None}


def asking(
    method: str = "GET",
    path: str = "/documents/1",
    headers: Mapping[str, str] | None = None,
    *,
    claims: Mapping[str, Any] | None = None,
    payload: str = "jwt_payload",
    peer: str = "",
    host: str = "documents.example.com",
    raw_headers: Sequence[tuple[str, bytes]] = (),
) -> CheckRequest:
    """What Envoy asks about a request."""
    request = CheckRequest()
    http = request.attributes.request.http
    http.method, http.path, http.host = method, path, host
    http.headers.update(headers or {})
    for name, value in raw_headers:
        http.header_map.headers.add(key=name, raw_value=value)
    if claims is not None:
        known = request.attributes.metadata_context.filter_metadata["envoy.filters.http.jwt_authn"]
        known.update({payload: dict(claims)})
    request.attributes.source.principal = peer
    request.attributes.source.address.socket_address.address = "192.0.2.7"
    return request
