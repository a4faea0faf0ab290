"""Handlers of the calls about stores. Named in `methods`."""

from __future__ import annotations

from authz._proto.openfga.v1 import openfga_service_pb2 as pb
from authz.access.authorization import grants
from authz.commands.create_store import CreateStoreQuery, create_store
from authz.commands.delete_store import DeleteStoreQuery, delete_store
from authz.commands.get_store import GetStoreQuery, get_store
from authz.commands.ids import new_id
from authz.commands.list_stores import ListStoresQuery, list_stores
from authz.commands.rename_store import RenameStoreQuery, rename_store
from authz.commands.services import Services
from authz.rpc.convert.stores import store_fields, store_message
from authz.rpc.exchange import Exchange


async def create(services: Services, exchange: Exchange, request: pb.CreateStoreRequest) -> pb.CreateStoreResponse:
    """CreateStore. The caller owns the store before there is one, so that no store is ever without an owner."""
    exchange.store_id = new_id(services.clock.now())
    await grants.own(services, exchange.call, exchange.store_id)
    store = await create_store(services, exchange.call, CreateStoreQuery(request.name, exchange.store_id))
    return pb.CreateStoreResponse(**store_fields(store))


async def get(services: Services, exchange: Exchange, request: pb.GetStoreRequest) -> pb.GetStoreResponse:
    """GetStore."""
    store = await get_store(services, exchange.call, GetStoreQuery(request.store_id))
    return pb.GetStoreResponse(**store_fields(store))


async def rename(services: Services, exchange: Exchange, request: pb.UpdateStoreRequest) -> pb.UpdateStoreResponse:
    """UpdateStore."""
    store = await rename_store(services, exchange.call, RenameStoreQuery(request.store_id, request.name))
    return pb.UpdateStoreResponse(**store_fields(store))


async def delete(services: Services, exchange: Exchange, request: pb.DeleteStoreRequest) -> pb.DeleteStoreResponse:
    """DeleteStore."""
    await delete_store(services, exchange.call, DeleteStoreQuery(request.store_id))
    return pb.DeleteStoreResponse()


async def list_(services: Services, exchange: Exchange, request: pb.ListStoresRequest) -> pb.ListStoresResponse:
    """ListStores."""
    readable = await services.rights.readable_stores(exchange.call)
    query = ListStoresQuery(request.page_size.value, request.continuation_token, request.name, readable)
    found = await list_stores(services, exchange.call, query)
    stores = [store_message(store) for store in found.stores]
    return pb.ListStoresResponse(stores=stores, continuation_token=found.continuation_token)
