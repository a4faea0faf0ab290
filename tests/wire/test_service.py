"""What belongs to the service as a whole: reflection, neighbours on one database, limits of metadata."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from authz._proto.openfga.v1 import openfga_pb2 as values
from authz._proto.openfga.v1 import openfga_service_pb2 as pb
from authz.app import build_limits, serving
from authz.commands.limits import Limits
from authz.settings import Settings
from tests.wire.support import Client, connect, refusal, tuple_key

pytestmark = pytest.mark.anyio

QUESTION = "document:1#viewer@user:anne"


@pytest.mark.parametrize("transport", ["grpcio"], indirect=True)
async def test_reflection_names_the_services(client: Client) -> None:
    """
    Tools can ask what is served, with grpcio: native has no calls with many requests.
    """
    stub = reflection_pb2_grpc.ServerReflectionStub(client.channel)
    call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
    async for answer in call:
        names = {service.name for service in answer.list_services_response.service}
        assert {"openfga.v1.OpenFGAService", "grpc.health.v1.Health"} <= names
        break
    call.cancel()


async def test_health_knows_our_service_only(client: Client) -> None:
    """
    Health answers for the server and for the service; others are unknown.
    """
    stub = health_pb2_grpc.HealthStub(client.channel)
    for service in ("", "openfga.v1.OpenFGAService"):
        answer = await stub.Check(health_pb2.HealthCheckRequest(service=service))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Check(health_pb2.HealthCheckRequest(service="other"))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_neighbours_on_one_database_see_each_other_at_once(client: Client, settings: Settings) -> None:
    """
    What one service has acknowledged, another over the same database answers from: models, writes and deletes.
    """
    async with serving(settings) as service, grpc.aio.insecure_channel(service.grpc_address) as channel:
        neighbour = connect(service, channel)
        store_id = await client.world()
        for _ in range(10):
            await client.put(store_id, QUESTION)
            assert await neighbour.allows(store_id, QUESTION)
            key = values.TupleKeyWithoutCondition(object="document:1", relation="viewer", user="user:anne")
            deletes = pb.WriteRequestDeletes(tuple_keys=[key])
            await neighbour.stub.Write(pb.WriteRequest(store_id=store_id, deletes=deletes))
            assert not await client.allows(store_id, QUESTION)
        await client.write_model(store_id, "model\n  schema 1.1\ntype robot\n")
        assert "type `user`" in (await refusal(neighbour.allows(store_id, QUESTION)))[2]


async def test_settings_reach_the_limits(tmp_path: Path) -> None:
    """
    The defaults of the settings are those of the limits, and a changed setting is honoured.
    """
    assert Limits() == build_limits(Settings())
    settings = Settings(grpc_addr="127.0.0.1:0", datastore_uri=f"sqlite:///{tmp_path}/authz.db", max_tuples_per_write=1)
    async with serving(settings) as service, grpc.aio.insecure_channel(service.grpc_address) as channel:
        client = connect(service, channel)
        store_id = await client.world()
        two = [tuple_key(QUESTION), tuple_key("document:2#viewer@user:anne")]
        call = client.stub.Write(pb.WriteRequest(store_id=store_id, writes=pb.WriteRequestWrites(tuple_keys=two)))
        status, reason, _ = await refusal(call)
        assert (status, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "exceeded_entity_limit")


@pytest.mark.parametrize("size", [1, 3])
async def test_a_list_that_was_cut_says_so(settings: Settings, size: int) -> None:
    """
    `authz-truncated` in trailing metadata tells that there is more, and why; a whole list has none.
    """
    limited = settings.model_copy(update={"list_objects_max_results": size, "list_users_max_results": size})
    async with serving(limited) as service, grpc.aio.insecure_channel(service.grpc_address) as channel:
        client = connect(service, channel)
        store_id = await client.world()
        await client.put(store_id, QUESTION, "document:2#viewer@user:anne", "document:1#viewer@user:bob")
        objects = client.stub.ListObjects(
            pb.ListObjectsRequest(store_id=store_id, type="document", relation="viewer", user="user:anne")
        )
        users = client.stub.ListUsers(
            pb.ListUsersRequest(
                store_id=store_id,
                object=values.Object(type="document", id="1"),
                relation="viewer",
                user_filters=[values.UserTypeFilter(type="user")],
            )
        )
        assert min(size, 2) == len((await objects).objects)
        assert min(size, 2) == len((await users).users)
        for call in (objects, users):
            said = dict(await call.trailing_metadata()).get("authz-truncated")
            assert said == ("max-results" if size == 1 else None)


async def test_a_write_that_cannot_get_through_ends_at_its_deadline(settings: Settings) -> None:
    """
    While another program holds the database's write lock, a write ends with DEADLINE_EXCEEDED, and checks are answered.
    """
    hurried = settings.model_copy(update={"request_timeout": 0.3})
    async with serving(hurried) as service, grpc.aio.insecure_channel(service.grpc_address) as channel:
        client = connect(service, channel)
        store_id = await client.world()
        await client.put(store_id, QUESTION)
        with contextlib.closing(sqlite3.connect(settings.datastore_uri.removeprefix("sqlite:///"))) as other:
            other.execute("BEGIN IMMEDIATE")
            waiting = asyncio.ensure_future(client.put(store_id, "document:2#viewer@user:anne"))
            assert await client.allows(store_id, QUESTION)
            assert (await refusal(waiting))[:2] == (grpc.StatusCode.DEADLINE_EXCEEDED, "deadline_exceeded")
            other.rollback()
        assert await client.allows(store_id, QUESTION)


async def test_many_writers_and_readers_see_their_own_writes(client: Client) -> None:
    """
    Under concurrent writes each caller finds what it has just written or deleted, and tokens grow.
    """
    store_id = await client.world()

    async def worker(number: int) -> list[int]:
        question = f"document:{number}#viewer@user:anne"
        key = tuple_key(question)
        revisions = []
        for _ in range(5):
            call = client.stub.Write(pb.WriteRequest(store_id=store_id, writes=pb.WriteRequestWrites(tuple_keys=[key])))
            token = dict(await call.initial_metadata())["authz-consistency-token"]
            revisions.append(client.service.services.tokens.decode(token, store_id))
            assert await client.allows(store_id, question)
            gone = values.TupleKeyWithoutCondition(object=key.object, relation=key.relation, user=key.user)
            await client.stub.Write(
                pb.WriteRequest(store_id=store_id, deletes=pb.WriteRequestDeletes(tuple_keys=[gone]))
            )
            assert not await client.allows(store_id, question)
        return revisions

    all_revisions = await asyncio.gather(*(worker(number) for number in range(20)))
    assert all(sorted(set(revisions)) == revisions for revisions in all_revisions)
    assert len({revision for revisions in all_revisions for revision in revisions}) == 100
