"""Every call has a rule, and every rule asks for what the model knows."""

from __future__ import annotations

import pytest
from google.protobuf.descriptor import ServiceDescriptor

from authz._proto.authz.v1 import access_pb2, audit_pb2, authzen_pb2
from authz._proto.openfga.v1 import openfga_service_pb2
from authz.access.authorization import RULES, Reach, Rule
from authz.access.authorization.names import SERVICE, STORE
from authz.access.authorization.system import system_model
from authz.call import Scope
from authz.errors import Bug
from authz.rpc.methods import METHODS
from tests.access.authorization.support import World, request_for

_SERVICES: list[ServiceDescriptor] = [
    service
    for module in (openfga_service_pb2, access_pb2, audit_pb2, authzen_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
]
_PATHS = {f"/{service.full_name}/{method.name}" for service in _SERVICES for method in service.methods}
_CONFIGURED = {"/envoy.service.auth.v3.Authorization/Check"}
"""Served when it is configured only."""


def test_every_call_of_the_interface_has_a_rule_and_a_method() -> None:
    """A call that is added to `proto/` fails here until somebody says who may make it, and answers it."""
    assert set(RULES) == _PATHS | _CONFIGURED
    assert {method.path for method in METHODS} == _PATHS


def test_methods_take_the_messages_of_the_interface() -> None:
    """Request, and whether answers are streamed, are as `proto/` says."""
    declared = {f"/{service.full_name}/{each.name}": each for service in _SERVICES for each in service.methods}
    for method in METHODS:
        assert method.request.DESCRIPTOR is declared[method.path].input_type
        assert method.is_streaming == declared[method.path].server_streaming


@pytest.mark.parametrize("rule", sorted(set(RULES.values()), key=str), ids=str)
def test_every_action_is_in_the_model(rule: Rule) -> None:
    """No rule asks for a right that nobody could have; every rule asks for one."""
    model = system_model()
    service = SERVICE.partition(":")[0]
    assert rule.action or rule.above
    assert not rule.action or model.has_relation(STORE, rule.action)
    assert not rule.above or model.has_relation(service, rule.above)
    if rule.reach in (Reach.GRANT, Reach.RECORDS, Reach.SERVICE, Reach.LISTING) or rule.is_reading:
        assert rule.above


def test_calls_on_stores_carry_the_store_in_their_request() -> None:
    """A rule about a store belongs to a call that names one."""
    for method in METHODS:
        rule = RULES[method.path]
        fields = method.request.DESCRIPTOR.fields_by_name
        if rule.reach in (Reach.STORE, Reach.TUPLES, Reach.RECORDS):
            assert "store_id" in fields
        if rule.reach is Reach.GRANT:
            assert "store_id" in fields or "grant" in fields
        assert request_for(method, "")


@pytest.mark.anyio
async def test_a_call_without_a_rule_is_never_served(world: World) -> None:
    """Composing the chain of an unknown call fails, before anybody can make it."""
    with pytest.raises(Bug, match="no rule"):
        world.authorizer.gate("/openfga.v1.OpenFGAService/Exfiltrate", Scope.READ)
