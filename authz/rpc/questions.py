"""Handlers of the questions: check, batch check, expand, list objects, list users. Named in `methods`."""

from __future__ import annotations

from authz._proto.openfga.v1 import openfga_service_pb2 as pb
from authz.commands.batch_check import batch_check
from authz.commands.check import check as decide
from authz.commands.expand import expand_as
from authz.commands.list_objects import list_objects, stream_objects
from authz.commands.list_users import list_users
from authz.commands.services import Services
from authz.rpc.convert.answers import batch_result, tree_message, user_message
from authz.rpc.convert.questions import (
    batch_query,
    check_query,
    expand_query,
    list_objects_query,
    list_users_query,
)
from authz.rpc.exchange import Exchange
from authz.rpc.metadata import tell_model, tell_revision, tell_truncated


async def check(services: Services, exchange: Exchange, request: pb.CheckRequest) -> pb.CheckResponse:
    """Check."""
    found = await decide(services, exchange.call, check_query(exchange, request))
    tell_model(exchange, found.model_id)
    tell_revision(services, exchange, found.revision)
    exchange.decisions = (found.allowed,)
    return pb.CheckResponse(allowed=found.allowed)


async def batch(services: Services, exchange: Exchange, request: pb.BatchCheckRequest) -> pb.BatchCheckResponse:
    """BatchCheck."""
    found = await batch_check(services, exchange.call, batch_query(exchange, request))
    tell_model(exchange, found.model_id)
    tell_revision(services, exchange, found.revision)
    outcomes = [found.results[item.correlation_id] for item in request.checks]
    exchange.decisions = [outcome if isinstance(outcome, bool) else None for outcome in outcomes]
    return pb.BatchCheckResponse(result={name: batch_result(outcome) for name, outcome in found.results.items()})


async def expand(services: Services, exchange: Exchange, request: pb.ExpandRequest) -> pb.ExpandResponse:
    """Expand."""
    found = await expand_as(services, exchange.call, expand_query(exchange, request), tree_message)
    tell_model(exchange, found.model_id)
    tell_revision(services, exchange, found.revision)
    return pb.ExpandResponse(tree=found.tree)


async def objects(services: Services, exchange: Exchange, request: pb.ListObjectsRequest) -> pb.ListObjectsResponse:
    """ListObjects."""
    found = await list_objects(services, exchange.call, list_objects_query(exchange, request))
    tell_model(exchange, found.model_id)
    tell_revision(services, exchange, found.revision)
    tell_truncated(exchange, found.truncated)
    exchange.results = len(found.objects)
    return pb.ListObjectsResponse(objects=found.objects)


async def streamed_objects(services: Services, exchange: Exchange, request: pb.StreamedListObjectsRequest) -> None:
    """StreamedListObjects."""
    stream = await stream_objects(services, exchange.call, list_objects_query(exchange, request))
    tell_model(exchange, stream.model_id)
    tell_revision(services, exchange, stream.revision)
    exchange.results = 0
    async for name in stream:
        await exchange.send(pb.StreamedListObjectsResponse(object=name))
        exchange.results += 1
    tell_truncated(exchange, stream.truncated)


async def users(services: Services, exchange: Exchange, request: pb.ListUsersRequest) -> pb.ListUsersResponse:
    """ListUsers."""
    found = await list_users(services, exchange.call, list_users_query(exchange, request))
    tell_model(exchange, found.model_id)
    tell_revision(services, exchange, found.revision)
    tell_truncated(exchange, found.truncated)
    exchange.results = len(found.users)
    return pb.ListUsersResponse(users=[user_message(user) for user in found.users])
