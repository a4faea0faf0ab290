"""The method of gateways, made from settings; and its messages, held against Envoy's own."""

from __future__ import annotations

from typing import Any

import pytest

from authz._proto.envoy.config.core.v3 import base_pb2
from authz._proto.envoy.service.auth.v3 import attribute_context_pb2, external_auth_pb2
from authz.access.authorization import RULES
from authz.call import Scope
from authz.commands.limits import Limits
from authz.rpc.ext_authz import check_gateway, gateway_methods
from authz.settings import InvalidSettings, Settings
from authz.settings.ext_authz import ExtAuthzSettings
from tests.rpc.ext_authz.support import STORE, rule, settings

# Written down from Envoy's documentation, and compared with the package `xds-protos` 1.85.
_NUMBERS = {
    "CheckRequest": {"attributes": 1},
    "CheckResponse": {"status": 1, "denied_response": 2, "ok_response": 3, "dynamic_metadata": 4},
    "DeniedHttpResponse": {"status": 1, "headers": 2, "body": 3},
    "OkHttpResponse": {"headers": 2, "dynamic_metadata": 3, "headers_to_remove": 5, "response_headers_to_add": 6},
    "AttributeContext": {
        "source": 1,
        "destination": 2,
        "request": 4,
        "context_extensions": 10,
        "metadata_context": 11,
        "tls_session": 12,
        "route_metadata_context": 13,
    },
    "HeaderValue": {"key": 1, "value": 2, "raw_value": 3},
    "HeaderValueOption": {"header": 1, "append": 2, "append_action": 3, "keep_empty_value": 4},
    "HeaderMap": {"headers": 1},
    "Metadata": {"filter_metadata": 1},
}
_NESTED = {
    "Peer": {"address": 1, "service": 2, "labels": 3, "principal": 4, "certificate": 5},
    "Request": {"time": 1, "http": 2},
    "HttpRequest": {
        "id": 1,
        "method": 2,
        "headers": 3,
        "path": 4,
        "host": 5,
        "scheme": 6,
        "query": 7,
        "fragment": 8,
        "size": 9,
        "protocol": 10,
        "body": 11,
        "raw_body": 12,
        "header_map": 13,
    },
}


def test_messages_are_those_of_envoy() -> None:
    """Names and numbers are what a real gateway sends and reads."""
    found: dict[str, dict[str, int]] = {}
    for file in (external_auth_pb2, attribute_context_pb2, base_pb2):
        for name, message in file.DESCRIPTOR.message_types_by_name.items():
            found[name] = {field.name: field.number for field in message.fields}
    assert found == _NUMBERS
    context = attribute_context_pb2.DESCRIPTOR.message_types_by_name["AttributeContext"]
    nested = {each.name: {field.name: field.number for field in each.fields} for each in context.nested_types}
    assert _NESTED.items() <= nested.items()


def test_there_is_no_method_without_a_store() -> None:
    """What is not configured is not served."""
    assert gateway_methods(ExtAuthzSettings(), None) == ()
    check_gateway(Settings())


def test_the_method_is_one_like_others() -> None:
    """With a rule about who may call it, a class, a deadline, and the store that it is about."""
    (method,) = gateway_methods(settings(timeout=0.25), None)
    assert method.path == "/envoy.service.auth.v3.Authorization/Check"
    assert (method.scope, method.store, method.is_streaming) == (Scope.CHECK, STORE, False)
    assert method.timeout(Limits()) == 0.25
    assert method.timeout(Limits(request_timeout=0.1)) == 0.1
    assert RULES[method.path] == RULES["/openfga.v1.OpenFGAService/Check"]
    service = external_auth_pb2.DESCRIPTOR.services_by_name["Authorization"]
    assert [f"/{service.full_name}/{each.name}" for each in service.methods] == [method.path]


def test_tokens_are_of_an_issuer_that_is_known() -> None:
    """Whose tokens could never be verified is no setting."""
    chosen: dict[str, Any] = {"store": STORE, "rules": [rule(user="user:{token.subject}")], "token_issuer": "main"}
    issuer = {"name": "main", "issuer": "https://login.example.com", "audiences": ["documents"]}
    with pytest.raises(InvalidSettings, match=r"^setting `ext_authz.token_issuer`: `access.issuers` names no `main`$"):
        check_gateway(Settings.model_validate({"ext_authz": chosen}))
    check_gateway(Settings.model_validate({"ext_authz": chosen, "access": {"issuers": [issuer]}}))


def test_bad_rules_are_found_before_anything_is_opened() -> None:
    """The error names the rule."""
    chosen = {"store": STORE, "rules": [rule(object="document:{name}")]}
    with pytest.raises(InvalidSettings, match=r"^setting `ext_authz.rules.0`: `\{name\}` is no variable"):
        check_gateway(Settings.model_validate({"ext_authz": chosen}))
