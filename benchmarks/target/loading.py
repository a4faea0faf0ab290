"""Put a world into a server or its database. Used by `opened` before anything is measured.

Small worlds go through the Write API. Large ones would take minutes there: they are inserted into the database at once,
at one revision and without a changelog, before the server starts; what it then loads is the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import islice
from typing import Any, TypeVar

import grpc
import orjson
from google.protobuf.json_format import ParseDict

from authz._proto.openfga.v1 import openfga_service_pb2 as service
from authz._proto.openfga.v1.authzmodel_pb2 import AuthorizationModel
from authz._proto.openfga.v1.openfga_service_pb2_grpc import OpenFGAServiceStub
from authz.call import Origin
from authz.commands.ids import new_id
from authz.store.api import MAX_REVISION, ModelRecord, StoreRecord
from authz.store.sql import migrate_datastore, open_datastore
from authz.tuples import RelationshipTuple
from benchmarks.driver.items import Place, write_request
from benchmarks.extras import BenchmarkError
from benchmarks.workloads.world import World
from schema_dsl import dsl_to_json

BULK_FROM = 5_000
"""From so many tuples on a world is inserted into the database."""
_PER_WRITE, _WRITERS, _CALL_SECONDS = 100, 4, 60.0
_PER_INSERT = 20_000
_STORE_NAME = "benchmark"

Tell = Callable[[int], None]
Item = TypeVar("Item")


def load_over_wire(world: World, address: str, token: str, tell: Tell) -> Place:
    """Make a store with the world on a running server; `tell` hears how many tuples are written.

    Raises:
        BenchmarkError: the server cannot be reached or refuses.

    """
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    with grpc.insecure_channel(address, [("grpc.enable_http_proxy", 0)]) as channel:
        stub: Any = OpenFGAServiceStub(channel)
        try:
            place = _create(stub, world, metadata)
            _write_all(stub, world, place, metadata, tell)
        except grpc.RpcError as error:
            raise BenchmarkError(f"cannot load `{world.name}` into {address}: {_said(error)}") from None
    return place


def _said(error: grpc.RpcError) -> str:
    code, details = getattr(error, "code", None), getattr(error, "details", None)
    return f"{code().name}: {details()}" if code and details else str(error)


def _create(stub: Any, world: World, metadata: tuple[tuple[str, str], ...]) -> Place:
    creation = service.CreateStoreRequest(name=_STORE_NAME)
    store = stub.CreateStore(creation, timeout=_CALL_SECONDS, metadata=metadata, wait_for_ready=True).id
    model = ParseDict(dsl_to_json(world.model), AuthorizationModel())
    request = service.WriteAuthorizationModelRequest(
        store_id=store, schema_version=model.schema_version, type_definitions=model.type_definitions
    )
    for name, condition in model.conditions.items():
        request.conditions[name].CopyFrom(condition)
    answer = stub.WriteAuthorizationModel(request, timeout=_CALL_SECONDS, metadata=metadata)
    return Place(store, answer.authorization_model_id)


def _write_all(stub: Any, world: World, place: Place, metadata: tuple[tuple[str, str], ...], tell: Tell) -> None:
    def write(batch: list[RelationshipTuple]) -> int:
        stub.Write(write_request(batch, place), timeout=_CALL_SECONDS, metadata=metadata)
        return len(batch)

    written, batches = 0, _batches(world.tuples(), _PER_WRITE)
    with ThreadPoolExecutor(_WRITERS) as pool:
        # Some at a time: a world may be larger than memory should be.
        while group := list(islice(batches, 10 * _WRITERS)):
            written += sum(pool.map(write, group))
            tell(written)


def delete_store(address: str, token: str, place: Place) -> None:
    """Take a store away again; a server that cannot do so keeps it."""
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    with grpc.insecure_channel(address, [("grpc.enable_http_proxy", 0)]) as channel:
        stub: Any = OpenFGAServiceStub(channel)
        try:
            stub.DeleteStore(service.DeleteStoreRequest(store_id=place.store_id), timeout=10.0, metadata=metadata)
        except grpc.RpcError:
            return


def insert(world: World, uri: str, tell: Tell) -> Place:
    """Make a store with the world in a database that no server uses yet."""
    migrate_datastore(uri)
    place = asyncio.run(_create_in(world, uri))
    _insert_tuples(world, uri, place, tell)
    return place


async def _create_in(world: World, uri: str) -> Place:
    now, by = datetime.now(UTC), Origin("benchmark")
    place = Place(new_id(now), new_id(now))
    model = dsl_to_json(world.model)
    datastore = open_datastore(uri)
    try:
        await datastore.create_store(StoreRecord(place.store_id, _STORE_NAME, now, now), by=by)
        body = orjson.dumps(model).decode()
        record = ModelRecord(place.store_id, place.model_id, model["schema_version"], body, now)
        await datastore.write_model(record, by=by)
    finally:
        await datastore.close()
    return place


def _insert_tuples(world: World, uri: str, place: Place, tell: Tell) -> None:
    from sqlalchemy import create_engine
    from sqlalchemy import insert as insert_into

    from authz.store.sql.encoding import tuple_values
    from authz.store.sql.tables import revisions, tuples
    from authz.store.sql.uri import POSTGRESQL, parse_uri

    database, url = parse_uri(uri)
    engine = create_engine(url.set(drivername="postgresql+psycopg") if database == POSTGRESQL else url)
    fixed = {
        "store_id": place.store_id,
        "created_revision": 1,
        "deleted_revision": MAX_REVISION,
        "created_at": datetime.now(UTC),
    }
    inserted = 0
    with engine.begin() as connection:
        for batch in _batches(world.tuples(), _PER_INSERT):
            connection.execute(insert_into(tuples), [{**fixed, **tuple_values(item)} for item in batch])
            inserted += len(batch)
            tell(inserted)
        row = {"store_id": place.store_id, "revision": 1, "oldest_revision": 0}
        connection.execute(insert_into(revisions), [row])
    if database == POSTGRESQL:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("ANALYZE")
    engine.dispose()


def _batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
