"""The questions, from messages to what the commands take. Called by the handlers."""

from __future__ import annotations

from typing import TypeAlias

from authz._proto.openfga.v1 import openfga_service_pb2 as pb
from authz.commands.batch_check import BatchCheckQuery, BatchItem
from authz.commands.check import CheckQuery
from authz.commands.expand import ExpandQuery
from authz.commands.list_objects import ListObjectsQuery
from authz.commands.list_users import ListUsersQuery
from authz.rpc.convert.tuples import tuples_of
from authz.rpc.convert.values import context_of
from authz.rpc.exchange import Exchange
from authz.rpc.metadata import consistency_of
from authz.tuples import RelationshipTuple

_HasContextual: TypeAlias = (
    pb.CheckRequest | pb.BatchCheckItem | pb.ExpandRequest | pb.ListObjectsRequest | pb.StreamedListObjectsRequest
)


def check_query(exchange: Exchange, request: pb.CheckRequest) -> CheckQuery:
    """The query of a check."""
    key = request.tuple_key
    return CheckQuery(
        store_id=request.store_id,
        model_id=request.authorization_model_id,
        object=key.object,
        relation=key.relation,
        user=key.user,
        contextual_tuples=_contextual(request),
        context=context_of(request.context) if request.HasField("context") else {},
        consistency=consistency_of(exchange, request.consistency),
    )


def batch_query(exchange: Exchange, request: pb.BatchCheckRequest) -> BatchCheckQuery:
    """The query of a batch of checks."""
    return BatchCheckQuery(
        store_id=request.store_id,
        model_id=request.authorization_model_id,
        items=[_batch_item(item) for item in request.checks],
        consistency=consistency_of(exchange, request.consistency),
    )


def expand_query(exchange: Exchange, request: pb.ExpandRequest) -> ExpandQuery:
    """The query of an expansion."""
    return ExpandQuery(
        store_id=request.store_id,
        model_id=request.authorization_model_id,
        object=request.tuple_key.object,
        relation=request.tuple_key.relation,
        contextual_tuples=_contextual(request),
        consistency=consistency_of(exchange, request.consistency),
    )


def list_objects_query(
    exchange: Exchange, request: pb.ListObjectsRequest | pb.StreamedListObjectsRequest
) -> ListObjectsQuery:
    """The query of a list of objects, streamed or not."""
    return ListObjectsQuery(
        store_id=request.store_id,
        model_id=request.authorization_model_id,
        type=request.type,
        relation=request.relation,
        user=request.user,
        contextual_tuples=_contextual(request),
        context=context_of(request.context) if request.HasField("context") else {},
        consistency=consistency_of(exchange, request.consistency),
    )


def list_users_query(exchange: Exchange, request: pb.ListUsersRequest) -> ListUsersQuery:
    """The query of a list of users; validation has made sure of one filter."""
    (wanted,) = request.user_filters
    return ListUsersQuery(
        store_id=request.store_id,
        model_id=request.authorization_model_id,
        object_type=request.object.type,
        object_id=request.object.id,
        relation=request.relation,
        filter_type=wanted.type,
        filter_relation=wanted.relation,
        contextual_tuples=tuples_of(request.contextual_tuples),
        context=context_of(request.context) if request.HasField("context") else {},
        consistency=consistency_of(exchange, request.consistency),
    )


def _batch_item(item: pb.BatchCheckItem) -> BatchItem:
    key = item.tuple_key
    return BatchItem(
        correlation_id=item.correlation_id,
        object=key.object,
        relation=key.relation,
        user=key.user,
        contextual_tuples=_contextual(item),
        context=context_of(item.context) if item.HasField("context") else {},
    )


def _contextual(request: _HasContextual) -> tuple[RelationshipTuple, ...]:
    return tuples_of(request.contextual_tuples.tuple_keys) if request.HasField("contextual_tuples") else ()
