"""The handlers about rights and records, over a real datastore; and how rights change what other calls do."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from google.protobuf.message import Message

from authz._proto.authz.v1 import access_pb2, audit_pb2
from authz._proto.openfga.v1 import openfga_service_pb2 as pb
from authz.call import Call, Principal
from authz.errors import Forbidden, InvalidRequest
from authz.rpc.exchange import Exchange
from authz.store.sql import SqlDatastore
from authz.store.trail import Head, Segment
from tests.access.authorization.support import BY_NAME, OTHER, STORE, World, principal, world_over

pytestmark = pytest.mark.anyio

ROOT = principal("key/root")
ANNE = principal("corp/anne")
BOB = principal("corp/bob")


@pytest.fixture
async def world(sqlite_datastore: SqlDatastore) -> World:
    """A service with an empty system store."""
    return await world_over(sqlite_datastore)


class Sent(list[Any]):
    """What a streaming handler has sent."""

    async def send(self, message: Message) -> None:
        """Take a message."""
        self.append(message)


async def call(world: World, who: Principal, request: Message, sent: Sent | None = None) -> Any:
    """Authorize a call and answer it, as the end of the chain does."""
    name = type(request).__name__.removesuffix("Request")
    method = BY_NAME[name]
    store_id = getattr(request, "store_id", "")
    if not await world.may(who, name, store_id, request):
        raise Forbidden("no")
    exchange = Exchange(method, Call(principal=who), (), b"", 3.0, request, store_id=store_id)
    if sent is not None:
        exchange.send = sent.send
    return await method.handler(world.services, exchange, request)


def grant(who: str, role: str, **where: str) -> access_pb2.Grant:
    """A grant as a message."""
    return access_pb2.Grant(principal=who, role=role, **where)


async def test_an_administrator_of_a_store_delegates_there_and_nowhere_else(world: World) -> None:
    """Granting, listing and withdrawing on the own store; refusals everywhere else."""
    await call(world, ROOT, access_pb2.GrantRequest(grant=grant("corp/anne", "admin", store_id=STORE)))
    await call(world, ANNE, access_pb2.GrantRequest(grant=grant("corp/bob", "reader", store_id=STORE)))
    await call(world, ANNE, access_pb2.GrantRequest(grant=grant("corp/bob", "writer", store_id=STORE, module="wiki")))
    assert await world.may(BOB, "Read", STORE)
    listed = await call(world, ANNE, access_pb2.ListGrantsRequest(store_id=STORE))
    assert list(listed.grants) == [
        grant("corp/anne", "admin", store_id=STORE),
        grant("corp/bob", "reader", store_id=STORE),
        grant("corp/bob", "writer", store_id=STORE, module="wiki"),
    ]
    for refused in (
        access_pb2.GrantRequest(grant=grant("corp/bob", "reader", store_id=OTHER)),
        access_pb2.GrantRequest(grant=grant("corp/bob", "reader")),
        access_pb2.GrantRequest(grant=grant("corp/anne", "member", group="corp/admins")),
        access_pb2.WithdrawRequest(grant=grant("corp/bob", "reader", store_id=OTHER)),
        access_pb2.ListGrantsRequest(),
        access_pb2.ListGrantsRequest(store_id=OTHER),
        access_pb2.ListGrantsRequest(principal="corp/anne"),
    ):
        with pytest.raises(Forbidden):
            await call(world, ANNE, refused)
        with pytest.raises(Forbidden):
            await call(world, BOB, refused)
    await call(world, ANNE, access_pb2.WithdrawRequest(grant=grant("corp/bob", "reader", store_id=STORE)))
    assert not await world.may(BOB, "Read", STORE)


async def test_a_group_within_a_store_is_refused_to_its_administrator(world: World) -> None:
    """A request that names a store and a group is no way around the service's administrators."""
    await world.give("corp/anne", "admin", STORE)
    request = access_pb2.GrantRequest(grant=grant("corp/anne", "member", store_id=STORE, group="corp/admins"))
    with pytest.raises(InvalidRequest):
        await call(world, ANNE, request)


async def test_every_change_of_rights_has_an_author(world: World) -> None:
    """The changelog of the system store names who granted."""
    await call(world, ROOT, access_pb2.GrantRequest(grant=grant("corp/anne", "reader", store_id=STORE)))
    (change,) = await world.services.datastore.changes_after("00000000000000000000SYSTEM", 0, 10)
    assert (change.actor, change.tuple.user) == ("key/root", "principal:corp/anne")


async def test_the_creator_of_a_store_owns_it(world: World) -> None:
    """And nobody else sees it, but for those who see everything."""
    await world.give("corp/anne", "store_creator")
    with pytest.raises(Forbidden):
        await call(world, BOB, pb.CreateStoreRequest(name="bobs"))
    made = await call(world, ANNE, pb.CreateStoreRequest(name="annes"))
    assert (await call(world, ANNE, pb.GetStoreRequest(store_id=made.id))).name == "annes"
    assert await world.may(ANNE, "Grant", made.id)
    assert not await world.may(BOB, "GetStore", made.id)
    assert await world.may(ROOT, "GetStore", made.id)
    await call(world, ANNE, pb.DeleteStoreRequest(store_id=made.id))
    assert list((await call(world, ANNE, pb.ListStoresRequest())).stores) == []


async def test_nobody_in_particular_owns_nothing(sqlite_datastore: SqlDatastore) -> None:
    """While authentication is off, a new store has no owner: it would be a stranger later."""
    off = await world_over(sqlite_datastore, is_enabled=False)
    nobody = principal("anonymous", is_known=False)
    await call(off, nobody, pb.CreateStoreRequest(name="free"))
    assert len((await call(off, nobody, pb.ListStoresRequest())).stores) == 1
    assert list((await call(off, nobody, access_pb2.ListGrantsRequest())).grants) == []


@pytest.mark.parametrize("size", [1, 2, 5])
async def test_lists_of_stores_show_what_may_be_read(world: World, size: int) -> None:
    """Page by page, in order, filtered by name, without gaps and without telling of others."""
    made = [(await call(world, ROOT, pb.CreateStoreRequest(name=f"store {number % 2}"))).id for number in range(7)]
    mine = [made[at] for at in (0, 2, 3, 6)]
    for store_id in mine:
        await world.give("corp/anne", "reader", store_id)
    await world.give("corp/anne", "reader", OTHER)  # a store that never was
    await world.give("corp/anne", "writer", made[1])
    await world.give("corp/bob", "reader")

    async def listed(who: Principal, name: str = "") -> list[str]:
        found, token, pages = [], "", 0
        while pages == 0 or token:
            request = pb.ListStoresRequest(continuation_token=token, name=name)
            request.page_size.value = size
            page = await call(world, who, request)
            assert len(page.stores) <= size
            found += [store.id for store in page.stores]
            token, pages = page.continuation_token, pages + 1
        return found

    assert await listed(ANNE) == mine
    assert await listed(ANNE, "store 1") == [made[3]]
    assert await listed(BOB) == await listed(ROOT) == made


async def test_orders_go_and_come_as_messages(world: World) -> None:
    """Revoke, suspend, capture, list and lift."""
    revoked = await call(world, ROOT, access_pb2.RevokeTokensRequest(token_id="j1", issuer="corp", reason="lost"))
    suspend = access_pb2.SuspendRequest(principal="corp/anne")
    suspend.expires_at.FromDatetime(datetime(2030, 1, 1, tzinfo=UTC))
    suspended = await call(world, ROOT, suspend)
    capture = audit_pb2.StartCaptureRequest(call="Check")
    capture.expires_at.FromDatetime(datetime(2026, 3, 4, 6, tzinfo=UTC))
    captured = await call(world, ROOT, capture)
    orders = [revoked.directive, suspended.directive, captured.directive]
    assert [order.kind for order in orders] == ["revocation", "suspension", "capture"]
    assert orjson.loads(orders[0].body) == {"token_id": "j1", "issuer": "corp"}
    assert (orders[0].reason, orders[0].created_by) == ("lost", "key/root")
    assert suspended.directive.expires_at == suspend.expires_at
    assert list((await call(world, ROOT, access_pb2.ListDirectivesRequest())).directives) == orders
    assert list((await call(world, ROOT, access_pb2.ListDirectivesRequest(kind="capture"))).directives) == orders[2:]
    lifted = await call(world, ROOT, access_pb2.LiftRequest(id=orders[1].id))
    assert lifted.directive.HasField("lifted_at")
    assert not orders[1].HasField("lifted_at")
    with pytest.raises(InvalidRequest):
        await call(world, ROOT, audit_pb2.StopCaptureRequest(id=orders[0].id))
    await call(world, ROOT, audit_pb2.StopCaptureRequest(id=orders[2].id))
    assert list((await call(world, ROOT, access_pb2.ListDirectivesRequest())).directives) == orders[:1]


async def test_times_out_of_range_are_told(world: World) -> None:
    """A time that no calendar has is refused by the name of its field."""
    request = access_pb2.SuspendRequest(principal="corp/anne")
    request.expires_at.seconds = 10**15
    with pytest.raises(InvalidRequest, match="`expires_at`"):
        await call(world, ROOT, request)


async def _record(world: World, number: int, store_id: str) -> None:
    now = world.services.clock.now()
    line = orjson.dumps({"time": now.isoformat(), "kind": "call", "store": store_id, "principal": f"p{number}"})
    segment = Segment("node", number, number, now, now, line + b"\n")
    await world.services.datastore.append_segment(segment, Head("node", number, b"m", 0, b"", "k", b"s"))


async def test_records_of_a_store_are_for_its_administrators(world: World) -> None:
    """Auditors see all records; the administrator of a store only those of the store."""
    for number, store_id in enumerate([STORE, OTHER, STORE], start=1):
        await _record(world, number, store_id)
    await world.give("corp/anne", "admin", STORE)
    await world.give("corp/bob", "auditor")

    async def seen(who: Principal, **wanted: Any) -> set[str]:
        sent = Sent()
        await call(world, who, audit_pb2.QueryRecordsRequest(**wanted), sent)
        return {orjson.loads(each.record)["principal"] for each in sent}

    assert await seen(BOB) == {"p1", "p2", "p3"}
    assert await seen(BOB, store_id=OTHER) == {"p2"}
    assert await seen(ANNE, store_id=STORE) == {"p1", "p3"}
    assert len(await seen(ANNE, store_id=STORE, limit=1)) == 1
    for wanted in ({}, {"store_id": OTHER}, {"principal": "p1"}):
        with pytest.raises(Forbidden):
            await seen(ANNE, **wanted)


async def test_rights_may_be_lost_while_records_are_sent(world: World) -> None:
    """Whoever follows the trail gets no record after his right was withdrawn."""
    for number in (1, 2, 3):
        await _record(world, number, STORE)
    await world.give("corp/bob", "auditor")

    class Withdrawing(Sent):
        async def send(self, message: Message) -> None:
            await super().send(message)
            await world.withdraw("corp/bob", "auditor")

    sent = Withdrawing()
    with pytest.raises(Forbidden):
        await call(world, BOB, audit_pb2.QueryRecordsRequest(), sent)
    assert len(sent) == 1
