"""The edge as a whole, over a real socket: who is let in, to do what, and what is recorded of it."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from authz._proto.authz.v1 import access_pb2, audit_pb2
from authz._proto.openfga.v1 import openfga_service_pb2 as pb
from authz.rpc.methods import METHODS
from tests.security.conftest import Secured, access_stub, audit_stub, running
from tests.support.issuer import KEYS, LocalIssuer
from tests.support.transports import TRANSPORTS
from tests.wire.support import UNKNOWN_ID, Client, check_request, reason_of, refusal, tuple_key

pytestmark = pytest.mark.anyio


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    """What takes calls off the wire: each in turn."""
    return str(request.param)


QUESTION = "document:1#viewer@user:anne"
DENIED = grpc.StatusCode.PERMISSION_DENIED


async def granted(secured: Secured, name: str, role: str, store: str) -> None:
    """Give a program of the issuer a role."""
    grant = access_pb2.Grant(principal=f"main/{name}", role=role, store_id=store)
    await access_stub(secured.as_admin()).Grant(access_pb2.GrantRequest(grant=grant))


async def records(secured: Secured, **wanted: Any) -> list[dict[str, Any]]:
    """What the trail says, newest first, once everything so far is written."""
    await asyncio.sleep(0.25)
    stream = audit_stub(secured.as_admin()).QueryRecords(audit_pb2.QueryRecordsRequest(**wanted))
    return [json.loads(each.record) async for each in stream]


async def call(client: Client, path: str, payload: bytes) -> grpc.aio.AioRpcError | None:
    """Send bytes to a method; the error if it fails."""
    served = next(each for each in METHODS if each.path == path)
    try:
        if served.is_streaming:
            async for _ in client.channel.unary_stream(path)(payload, timeout=5):
                pass
        else:
            await client.channel.unary_unary(path)(payload, timeout=5)
    except grpc.aio.AioRpcError as error:
        return error
    return None


@pytest.mark.parametrize("method", METHODS, ids=lambda each: each.path)
async def test_no_call_is_served_without_proof(secured: Secured, method: Any) -> None:
    """
    Every call of every service is refused before its request is read: garbage gets the same answer.
    """
    for payload in (b"", b"\xff\xff\xff"):
        error = await call(secured.as_nobody(), method.path, payload)
        assert error is not None
        assert (error.code(), reason_of(error)) == (grpc.StatusCode.UNAUTHENTICATED, "bearer_token_missing")


async def test_health_is_open_and_reflection_is_not(secured: Secured) -> None:
    """
    Who watches the service needs no credentials; the interface is not shown to strangers.
    """
    channel = secured.as_nobody().channel
    answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service="liveness"))
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await channel.unary_unary("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")(b"")
    assert caught.value.code() in {grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.UNAUTHENTICATED}


async def test_client_credentials_end_to_end(secured: Secured) -> None:
    """
    A program gets a token with its own key, is denied until it is granted a role, and never told what exists.
    """
    admin = secured.as_admin()
    store = await admin.world()
    await admin.put(store, QUESTION)
    shop = secured.as_program("shop", "authz:check")
    messages = set()
    for asked in (store, UNKNOWN_ID):
        code, reason, message = await refusal(shop.stub.Check(check_request(asked, QUESTION)))
        assert (code, reason) == (DENIED, "forbidden")
        messages.add(message)
    assert len(messages) == 1
    await granted(secured, "shop", "checker", store)
    assert await shop.allows(store, QUESTION)
    assert (await refusal(shop.put(store, "document:2#viewer@user:anne")))[0] is DENIED


async def test_a_scope_limits_what_rights_allow(secured: Secured) -> None:
    """
    A token for checking cannot write, whatever its principal may.
    """
    store = await secured.as_admin().world()
    await granted(secured, "shop", "admin", store)
    await secured.as_program("shop", "authz:check authz:write").put(store, QUESTION)
    narrow = secured.as_program("shop", "authz:check")
    assert await narrow.allows(store, QUESTION)
    assert (await refusal(narrow.put(store, "document:2#viewer@user:anne")))[0] is DENIED
    assert (await refusal(secured.as_program("shop", "profile").stub.Check(check_request(store, QUESTION))))[
        0
    ] is DENIED


async def test_withdrawn_at_once(secured: Secured) -> None:
    """
    The very next call after a withdrawal is refused.
    """
    store = await secured.as_admin().world()
    shop = secured.as_program("shop")
    for _ in range(3):
        await granted(secured, "shop", "checker", store)
        assert not await shop.allows(store, QUESTION)
        grant = access_pb2.Grant(principal="main/shop", role="checker", store_id=store)
        await access_stub(secured.as_admin()).Withdraw(access_pb2.WithdrawRequest(grant=grant))
        assert (await refusal(shop.stub.Check(check_request(store, QUESTION))))[0] is DENIED


async def test_revocation_reaches_another_node_within_a_second(
    secured: Secured, tmp_path: Path, issuer: LocalIssuer
) -> None:
    """
    A principal's tokens are worthless at once on the node that was told, and within a second on another one; tokens
    issued later are good.
    """
    store = await secured.as_admin().world()
    await granted(secured, "shop", "checker", store)
    token = secured.token("shop")
    async with running(tmp_path, issuer) as other:
        here, there = secured.as_bearer(token), other.as_bearer(token)
        assert not await here.allows(store, QUESTION)
        assert not await there.allows(store, QUESTION)
        order = access_pb2.RevokeTokensRequest(principal="main/shop", reason="leaked")
        await access_stub(secured.as_admin()).RevokeTokens(order)
        told = time.monotonic()
        assert (await refusal(here.stub.Check(check_request(store, QUESTION))))[1] == "auth_failed_invalid_bearer_token"
        raw = check_request(store, QUESTION).SerializeToString()
        while (error := await call(there, "/openfga.v1.OpenFGAService/Check", raw)) is None:
            assert time.monotonic() - told < 1.5  # a second, and some slack for a machine that does other things
            await asyncio.sleep(0.02)
        assert error.code() is grpc.StatusCode.UNAUTHENTICATED
        await asyncio.sleep(1.1)
        assert not await secured.as_program("shop").allows(store, QUESTION)


async def test_a_suspended_principal_is_refused_until_it_is_lifted(secured: Secured) -> None:
    """
    Suspension holds whatever token comes, and ends when it is lifted.
    """
    store = await secured.as_admin().world()
    await granted(secured, "shop", "checker", store)
    shop, access = secured.as_program("shop"), access_stub(secured.as_admin())
    assert not await shop.allows(store, QUESTION)
    order = (await access.Suspend(access_pb2.SuspendRequest(principal="main/shop", reason="odd"))).directive
    assert (await refusal(shop.stub.Check(check_request(store, QUESTION))))[0] is DENIED
    assert (await refusal(secured.as_program("shop").stub.Check(check_request(store, QUESTION))))[0] is DENIED
    await access.Lift(access_pb2.LiftRequest(id=order.id))
    assert not await shop.allows(store, QUESTION)


async def test_keys_rotate_and_issuers_fail_without_a_lost_request(secured: Secured) -> None:
    """
    While a client checks all the time its issuer rotates its key, and then goes down: every check is answered.
    """
    store = await secured.as_admin().world()
    await granted(secured, "shop", "checker", store)
    old = secured.as_program("shop")
    lost: list[grpc.aio.AioRpcError] = []
    done = asyncio.Event()

    async def ask_all_the_time() -> None:
        while not done.is_set():
            try:
                assert not await old.allows(store, QUESTION)
            except grpc.aio.AioRpcError as error:
                lost.append(error)
            await asyncio.sleep(0.002)

    asking = asyncio.ensure_future(ask_all_the_time())
    await asyncio.sleep(0.1)
    await asyncio.to_thread(secured.issuer.rotate)
    token = await asyncio.to_thread(secured.token, "shop")
    assert not await secured.as_bearer(token).allows(store, QUESTION)
    secured.issuer.troubles[KEYS] = "down"
    await asyncio.sleep(0.2)
    done.set()
    await asking
    assert lost == []


async def test_every_call_ends_in_one_record(secured: Secured) -> None:
    """
    Allowed, denied, refused and failed calls are found by what they were, once each, with who called.
    """
    admin = secured.as_admin()
    store = await admin.world()
    await admin.put(store, QUESTION)
    await granted(secured, "shop", "checker", store)
    shop = secured.as_program("shop")
    assert await shop.allows(store, QUESTION, (("x-request-id", "ask-1"),))
    assert not await shop.allows(store, "document:1#viewer@user:bob")
    await refusal(shop.put(store, "document:2#viewer@user:anne"))
    await refusal(shop.stub.Check(check_request(store, "document:1#nothing@user:bob")))
    found = await records(secured, principal="main/shop", kind="call")
    assert [(each["call"].rpartition("/")[2], each["code"]) for each in found] == [
        ("Check", "INVALID_ARGUMENT"),
        ("Write", "PERMISSION_DENIED"),
        ("Check", "OK"),
        ("Check", "OK"),
    ]
    (allowed,) = await records(secured, request_id="ask-1")
    expected = {
        "principal": "main/shop",
        "authentication": "token",
        "peer": "127.0.0.1",
        "store": store,
        "object": "document:1",
        "relation": "viewer",
        "user": "user:anne",
        "decision": "allowed",
    }
    assert expected.items() <= allowed.items()
    (denied,) = await records(secured, principal="main/shop", decision="denied")
    assert denied["user"] == "user:bob"
    changes = await records(secured, store_id=store, kind="change")
    assert [each["action"] for each in changes] == ["tuples.write", "model.write", "store.create"]
    assert all(each["principal"] == "key/root" for each in changes)


def contents(folder: Path) -> bytes:
    """All that a database holds."""
    return b"".join(path.read_bytes() for path in folder.glob("authz.db*"))


async def test_no_credential_is_kept_anywhere(tmp_path: Path, issuer: LocalIssuer, capfd: Any) -> None:
    """
    Neither a token nor a key that was used, good or bad, is in the database, the trail or the log.
    """
    async with running(tmp_path, issuer, audit={"sinks": ("database", "stdout")}) as secured:
        store = await secured.as_admin().world()
        token = secured.token("shop")
        await refusal(secured.as_bearer(token).stub.Check(check_request(store, QUESTION)))
        await refusal(secured.as_bearer(token + "x").stub.Check(check_request(store, QUESTION)))
        await refusal(secured.as_bearer("authz_guess").stub.Check(check_request(store, QUESTION)))
        held = secured.admin_key, token, token.rpartition(".")[2], "authz_guess"
        await asyncio.sleep(0.3)
    kept = contents(tmp_path)
    printed = "".join(capfd.readouterr())
    for secret in held:
        assert secret.encode() not in kept
        assert secret not in printed


async def test_a_caller_is_held_to_its_rate(tmp_path: Path, issuer: LocalIssuer) -> None:
    """
    Beyond its rate a principal gets RESOURCE_EXHAUSTED with the time to wait; others are not touched by that.
    """
    limits = {"tiers": {"small": {"check": "5/minute"}}, "principals": {"main/*": "small"}}
    async with running(tmp_path, issuer, limits=limits) as secured:
        store = await secured.as_admin().world()
        await granted(secured, "shop", "checker", store)
        await granted(secured, "other", "checker", store)
        shop = secured.as_program("shop")
        for _ in range(5):
            assert not await shop.allows(store, QUESTION)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await shop.allows(store, QUESTION)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert reason_of(caught.value) == "resource_exhausted"
        assert 1 <= int(str(dict(caught.value.trailing_metadata())["retry-after"])) <= 12
        assert not await secured.as_program("other").allows(store, QUESTION)


async def test_guessing_credentials_slows_down(secured: Secured) -> None:
    """
    An address that fails again and again must wait before it may try once more.
    """
    for number in range(40):
        code, _, _ = await refusal(secured.as_bearer(f"authz_{number}").stub.Check(check_request(UNKNOWN_ID, QUESTION)))
        if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
            return
    pytest.fail("forty wrong keys, and nothing happened")


async def test_strong_authentication_for_models(tmp_path: Path, issuer: LocalIssuer) -> None:
    """
    Where a rule demands `mfa`, a token or key without it cannot write a model, whatever its rights.
    """
    strong = [{"scopes": ["model"], "amr": ["mfa"]}]
    async with running(tmp_path, issuer, access={"strong": strong}) as secured:
        admin = secured.as_admin()
        store = (await admin.stub.CreateStore(pb.CreateStoreRequest(name="shop"))).id
        code, _, message = await refusal(admin.write_model(store))
        assert code is grpc.StatusCode.UNAUTHENTICATED
        assert "mfa" in message


async def test_with_audit_sync_the_record_is_there_before_the_answer(tmp_path: Path, issuer: LocalIssuer) -> None:
    """
    As soon as a caller has its answer the record of it can be found.
    """
    async with running(tmp_path, issuer, audit={"sync": True, "flush_interval": 60.0}) as secured:
        admin = secured.as_admin()
        store = await admin.world()
        await admin.stub.Write(
            pb.WriteRequest(store_id=store, writes=pb.WriteRequestWrites(tuple_keys=[tuple_key(QUESTION)])),
            metadata=(("x-request-id", "wrote"),),
        )
        stream = audit_stub(admin).QueryRecords(audit_pb2.QueryRecordsRequest(request_id="wrote"))
        kinds = {json.loads(each.record)["kind"] async for each in stream}
        assert kinds == {"call", "change"}


async def test_granted_admins_cannot_lock_out_those_of_the_configuration(secured: Secured) -> None:
    """
    Whoever was made an administrator by grant can neither suspend nor revoke one that the configuration names.
    """
    grant = access_pb2.Grant(principal="main/boss", role="admin")
    await access_stub(secured.as_admin()).Grant(access_pb2.GrantRequest(grant=grant))
    boss = access_stub(secured.as_program("boss"))
    for order in (
        boss.Suspend(access_pb2.SuspendRequest(principal="key/root")),
        boss.RevokeTokens(access_pb2.RevokeTokensRequest(principal="key/root")),
    ):
        assert (await refusal(order))[0] is DENIED
    await boss.Suspend(access_pb2.SuspendRequest(principal="main/shop"))
    assert (await secured.as_admin().stub.ListStores(pb.ListStoresRequest())).stores == []
