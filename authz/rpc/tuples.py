"""Handlers of the calls about tuples and their changes. Named in `methods`."""

from __future__ import annotations

from authz._proto.openfga.v1 import openfga_service_pb2 as pb
from authz.commands.read import ReadQuery
from authz.commands.read import read as read_tuples
from authz.commands.read_changes import ReadChangesQuery, read_changes
from authz.commands.services import Services
from authz.commands.write import WriteQuery
from authz.commands.write import write as write_tuples
from authz.rpc.convert.tuples import change_message, filter_of, key_of, stored_tuple_message, tuples_of
from authz.rpc.convert.values import moment_of
from authz.rpc.exchange import Exchange
from authz.rpc.metadata import consistency_of, tell_model, tell_revision


async def read(services: Services, exchange: Exchange, request: pb.ReadRequest) -> pb.ReadResponse:
    """Read."""
    consistency = consistency_of(exchange, request.consistency)
    page, token = request.page_size.value, request.continuation_token
    query = ReadQuery(request.store_id, filter_of(request), page, token, consistency)
    found = await read_tuples(services, exchange.call, query)
    tell_revision(services, exchange, found.revision)
    tuples = [stored_tuple_message(stored) for stored in found.tuples]
    exchange.results = len(tuples)
    return pb.ReadResponse(tuples=tuples, continuation_token=found.continuation_token)


async def write(services: Services, exchange: Exchange, request: pb.WriteRequest) -> pb.WriteResponse:
    """Write."""
    writes, deletes = request.writes, request.deletes
    added, removed = tuples_of(writes.tuple_keys), [key_of(key) for key in deletes.tuple_keys]
    model_id = request.authorization_model_id
    query = WriteQuery(request.store_id, model_id, added, removed, writes.on_duplicate, deletes.on_missing)
    written = await write_tuples(services, exchange.call, query)
    tell_model(exchange, written.model_id)
    tell_revision(services, exchange, written.revision)
    exchange.results = len(added) + len(removed)
    return pb.WriteResponse()


async def changes(services: Services, exchange: Exchange, request: pb.ReadChangesRequest) -> pb.ReadChangesResponse:
    """ReadChanges."""
    since = moment_of(request.start_time) if request.HasField("start_time") else None
    page, token = request.page_size.value, request.continuation_token
    query = ReadChangesQuery(request.store_id, request.type, page, token, since)
    found = await read_changes(services, exchange.call, query)
    entries = [change_message(change) for change in found.changes]
    exchange.results = len(entries)
    return pb.ReadChangesResponse(changes=entries, continuation_token=found.continuation_token)
