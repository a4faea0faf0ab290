"""Attacks on the gateways' method: by who calls it, by what a request says, and by what a client sends through."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from authz._proto.authz.v1 import access_pb2, audit_pb2
from authz._proto.envoy.service.auth.v3.external_auth_pb2 import CheckRequest, CheckResponse
from authz.access.authentication import new_key
from tests.rpc.ext_authz.support import asking
from tests.security.conftest import Secured, access_stub, audit_stub, running
from tests.support.issuer import LocalIssuer

pytestmark = pytest.mark.anyio

CHECK = "/envoy.service.auth.v3.Authorization/Check"
OK, DENIED, NOBODY, UNDECIDED = 0, 7, 16, 14
RULES = [
    {"methods": ["GET"], "path": "/health", "allow": True},
    {
        "methods": ["GET"],
        "path": "/documents/{id}",
        "relation": "viewer",
        "object": "document:{id}",
        "user": "user:{token.subject}",
    },
    {
        "methods": ["GET"],
        "path": "/claimed/{id}",
        "relation": "viewer",
        "object": "document:{id}",
        "user": "user:{jwt.sub}",
    },
]


@dataclass
class Gateway:
    """A service that answers gateways about a store, in which alice views document 1; and a gateway of it."""

    secured: Secured
    store: str
    token: str

    async def ask(self, request: CheckRequest, token: str | None = None) -> CheckResponse:
        """What the gateway hears; raises `AioRpcError` when it is not answered."""
        sent = self.token if token is None else token
        metadata = [("authorization", f"Bearer {sent}")] if sent else []
        async with grpc.aio.insecure_channel(self.secured.service.grpc_address) as channel:
            call: Any = channel.unary_unary(CHECK)
            raw = await call(request.SerializeToString(), metadata=metadata, timeout=10)
        return CheckResponse.FromString(raw)

    async def code(self, request: CheckRequest) -> int:
        """The status that is the decision."""
        return (await self.ask(request)).status.code

    async def refusal(self, token: str) -> grpc.StatusCode:
        """How the gateway itself is refused."""
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.ask(asking(path="/health"), token)
        return caught.value.code()


def bearing(token: str, path: str = "/documents/1", **headers: str) -> CheckRequest:
    """A request with a bearer token."""
    return asking(path=path, headers={"authorization": f"Bearer {token}", **headers})


@pytest.fixture
async def gateway(tmp_path: Path, issuer: LocalIssuer) -> AsyncIterator[Gateway]:
    """A gateway with the one right that it needs."""
    async with running(tmp_path, issuer) as secured:
        admin = secured.as_admin()
        store = await admin.world()
        await admin.put(store, "document:1#viewer@user:alice")
    async with running(tmp_path, issuer, ext_authz={"store": store, "token_issuer": "main", "rules": RULES}) as secured:
        grant = access_pb2.Grant(principal="main/edge", role="checker", store_id=store)
        await access_stub(secured.as_admin()).Grant(access_pb2.GrantRequest(grant=grant))
        yield Gateway(secured, store, secured.token("edge", "authz:check"))


async def test_a_gateway_needs_a_proof_and_a_right(gateway: Gateway) -> None:
    """Even to hear about a public path; and it hears nothing more once its right is withdrawn."""
    secured = gateway.secured
    assert await gateway.code(asking(path="/health")) == OK
    assert await gateway.refusal("") is grpc.StatusCode.UNAUTHENTICATED
    assert await gateway.refusal("forged") is grpc.StatusCode.UNAUTHENTICATED
    assert await gateway.refusal(secured.token("other", "authz:check")) is grpc.StatusCode.PERMISSION_DENIED
    assert await gateway.refusal(secured.token("edge", "authz:read")) is grpc.StatusCode.PERMISSION_DENIED
    grant = access_pb2.Grant(principal="main/edge", role="checker", store_id=gateway.store)
    await access_stub(secured.as_admin()).Withdraw(access_pb2.WithdrawRequest(grant=grant))
    assert await gateway.refusal(gateway.token) is grpc.StatusCode.PERMISSION_DENIED


async def test_a_right_on_another_store_is_none_on_this(gateway: Gateway) -> None:
    """The method is about its configured store, whatever else its caller may do."""
    admin = gateway.secured.as_admin()
    grant = access_pb2.Grant(principal="main/other", role="admin", store_id=await admin.world())
    await access_stub(admin).Grant(access_pb2.GrantRequest(grant=grant))
    token = gateway.secured.token("other", "authz:check")
    assert await gateway.refusal(token) is grpc.StatusCode.PERMISSION_DENIED


async def test_tokens_of_requests_are_verified(gateway: Gateway) -> None:
    """By the rules for all tokens: signature, issuer, audience, time; and the user is the token's subject."""
    secured = gateway.secured
    alice = secured.token("alice", "authz:check")
    head, body, signature = alice.split(".")
    assert await gateway.code(bearing(alice)) == OK
    assert await gateway.code(bearing(alice, "/documents/2")) == DENIED
    assert await gateway.code(bearing(secured.token("bob", "authz:check"))) == DENIED
    for forged in (
        "",
        "x",
        alice[:-4],
        f"{head}.{body}.",
        f"{head}.{body}.{signature[::-1]}",
        f"{alice},{alice}",
        f"{alice} {alice}",
        secured.admin_key,
    ):
        assert await gateway.code(bearing(forged)) == NOBODY
    assert await gateway.code(asking(headers={"authorization": f"Basic {alice}"})) == NOBODY
    assert await gateway.code(asking()) == NOBODY


async def test_a_key_is_no_user(gateway: Gateway, tmp_path: Path) -> None:
    """Preshared keys are for callers of the service, and one that is named like the issuer changes nothing."""
    secret, line = new_key("alice")
    keys = tmp_path / "keys.txt"
    keys.write_text(keys.read_text() + line + "\n")
    for _ in range(40):
        if await gateway.code(bearing(secret)) != NOBODY:
            pytest.fail("a preshared key passed as a user")
        await asyncio.sleep(0.05)


async def test_orders_hold_for_users_too(gateway: Gateway) -> None:
    """Who is suspended, or whose tokens are revoked, passes no longer."""
    admin = access_stub(gateway.secured.as_admin())
    alice = gateway.secured.token("alice", "authz:check")
    assert await gateway.code(bearing(alice)) == OK
    order = (await admin.Suspend(access_pb2.SuspendRequest(principal="main/alice", reason="odd"))).directive
    assert await gateway.code(bearing(alice)) == DENIED
    await admin.Lift(access_pb2.LiftRequest(id=order.id))
    assert await gateway.code(bearing(alice)) == OK
    await admin.RevokeTokens(access_pb2.RevokeTokensRequest(principal="main/alice", reason="leaked"))
    assert await gateway.code(bearing(alice)) == NOBODY


async def test_claims_count_only_where_envoy_put_them(gateway: Gateway) -> None:
    """Not in a token that nobody verified, nor in any header, nor in the metadata of another filter."""
    assert await gateway.code(asking(path="/claimed/1", claims={"sub": "alice"})) == OK
    alice = gateway.secured.token("alice", "authz:check")
    spoofed = {"x-jwt-payload": "eyJzdWIiOiJhbGljZSJ9", "jwt_payload": '{"sub":"alice"}', "x-authz-user": "user:alice"}
    assert await gateway.code(bearing(alice, "/claimed/1")) == NOBODY
    assert await gateway.code(asking(path="/claimed/1", headers=spoofed)) == NOBODY
    for name in ("envoy.filters.http.header_to_metadata", "envoy.lb", "envoy.filters.http.ext_authz"):
        request = asking(path="/claimed/1")
        request.attributes.metadata_context.filter_metadata[name].update({"jwt_payload": {"sub": "alice"}})
        request.attributes.route_metadata_context.filter_metadata["envoy.filters.http.jwt_authn"].update(
            {"jwt_payload": {"sub": "alice"}}
        )
        assert await gateway.code(request) == NOBODY


@pytest.mark.parametrize(
    "path",
    [
        "/health/../documents/1",
        "/health/..%2fdocuments/1",
        "/health%2f..%2fdocuments%2f1",
        "//health",
        "/health/",
        "/./health",
        "/health;/../documents/1",
        "/health;a=b",
        "/health%3b",
        "/health%00",
        "/health\x00/documents/1",
        "/health%20",
        "/health#/documents/1",
        "/health%23",
        "/health%3f",
        "/HEALTH",
        "/%68ealth",
        "/health\\..\\documents\\1",
        "/health%5c..%5cdocuments",
        "/%c0%afhealth",
        "/%252e%252e/health",
        "http://documents.example.com/health",
        "health",
        "*",
        "",
        "/documents/1/../2",
        "/documents/1;2",
        "/documents/*",
        "/documents/1:2",
        "/documents/1%23viewer",
        "/documents/1%20",
        "/documents/%e2%80%8b1",
        "/documents/1%2f2",
        "/documents//1",
    ],
)
async def test_no_spelling_of_a_path_passes(gateway: Gateway, path: str) -> None:
    """Neither one of a public path, nor of an object, that somebody behind could read as another."""
    alice = gateway.secured.token("alice", "authz:check")
    assert await gateway.code(bearing(alice, path)) == DENIED


async def test_other_methods_do_not_pass(gateway: Gateway) -> None:
    """Whatever they are, and whatever method a header asks for instead."""
    for method in ("POST", "get", "GET ", "TRACE", "CONNECT", "OPTIONS", "", "GET\r\nX: y", "PRI"):
        for path in ("/health", "/documents/1"):
            request = asking(method, path, {"x-http-method-override": "GET"}, claims={"sub": "alice"})
            assert await gateway.code(request) == DENIED


async def test_messages_that_are_none(gateway: Gateway) -> None:
    """Nothing passes by an empty request, one of another filter, or one that cannot be read."""
    assert await gateway.code(CheckRequest()) == DENIED
    network = CheckRequest()
    network.attributes.source.principal = "spiffe://example.com/services/reporter"
    assert await gateway.code(network) == DENIED
    async with grpc.aio.insecure_channel(gateway.secured.service.grpc_address) as channel:
        call: Any = channel.unary_unary(CHECK)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(b"\xff\xff", metadata=[("authorization", f"Bearer {gateway.token}")], timeout=10)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_every_answer_is_recorded(gateway: Gateway) -> None:
    """With key and decision, under the gateway's name; and nothing secret, not even while bodies are captured."""
    secured = gateway.secured
    trail = audit_stub(secured.as_admin())
    capture = audit_pb2.StartCaptureRequest(principal="main/edge")
    capture.expires_at.FromSeconds(int(time.time()) + 600)
    await trail.StartCapture(capture)
    alice = secured.token("alice", "authz:check")
    ids = {"x-request-id": "through-1"}
    await gateway.code(bearing(alice, cookie="session=secret", **ids))
    await gateway.code(bearing(alice, "/documents/2?token=secret", **ids))
    await gateway.code(bearing(alice, "/nowhere", **ids))
    await gateway.code(asking(path="/health", headers=ids))
    records: list[dict[str, Any]] = []
    for _ in range(40):
        await asyncio.sleep(0.1)
        wanted = audit_pb2.QueryRecordsRequest(request_id="through-1", kind="call")
        records = [json.loads(each.record) async for each in trail.QueryRecords(wanted)]
        if len(records) == 4:
            break
    records.reverse()
    assert {(each["call"], each["principal"], each["store"], each["code"]) for each in records} == {
        (CHECK, "main/edge", gateway.store, "OK")
    }
    assert [(each.get("object"), each.get("user"), each["decision"]) for each in records] == [
        ("document:1", "user:alice", "allowed"),
        ("document:2", "user:alice", "denied"),
        (None, None, "denied"),
        (None, None, "allowed"),
    ]
    text = json.dumps(records)
    assert "/nowhere" in text  # bodies were captured
    assert "secret" not in text
    assert alice.split(".")[2] not in text
