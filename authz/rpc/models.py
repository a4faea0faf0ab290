"""Handlers of the calls about authorization models and their assertions. Named in `methods`."""

from __future__ import annotations

import asyncio

from authz._proto.openfga.v1 import openfga_service_pb2 as pb
from authz.commands.list_models import ListModelsQuery, list_models
from authz.commands.read_assertions import ReadAssertionsQuery, read_assertions
from authz.commands.read_model import ReadModelQuery, read_model
from authz.commands.services import Services
from authz.commands.write_assertions import WriteAssertionsQuery, write_assertions
from authz.commands.write_model import WriteModelQuery, write_model
from authz.rpc.convert.assertions import assertion_message, assertion_of
from authz.rpc.convert.models import body_of, model_message, model_messages
from authz.rpc.exchange import Exchange
from authz.rpc.metadata import tell_model


async def write(
    services: Services, exchange: Exchange, request: pb.WriteAuthorizationModelRequest
) -> pb.WriteAuthorizationModelResponse:
    """WriteAuthorizationModel."""
    body, size = await asyncio.to_thread(body_of, request)  # long for large models
    written = await write_model(services, exchange.call, WriteModelQuery(request.store_id, body, size))
    tell_model(exchange, written.model_id)
    return pb.WriteAuthorizationModelResponse(authorization_model_id=written.model_id)


async def read(
    services: Services, exchange: Exchange, request: pb.ReadAuthorizationModelRequest
) -> pb.ReadAuthorizationModelResponse:
    """ReadAuthorizationModel."""
    record = await read_model(services, exchange.call, ReadModelQuery(request.store_id, request.id))
    exchange.model_id = record.id
    message = await asyncio.to_thread(model_message, record)
    return pb.ReadAuthorizationModelResponse(authorization_model=message)


async def list_(
    services: Services, exchange: Exchange, request: pb.ReadAuthorizationModelsRequest
) -> pb.ReadAuthorizationModelsResponse:
    """ReadAuthorizationModels."""
    query = ListModelsQuery(request.store_id, request.page_size.value, request.continuation_token)
    found = await list_models(services, exchange.call, query)
    models = await asyncio.to_thread(model_messages, found.models, exchange.call)
    return pb.ReadAuthorizationModelsResponse(authorization_models=models, continuation_token=found.continuation_token)


async def write_asserted(
    services: Services, exchange: Exchange, request: pb.WriteAssertionsRequest
) -> pb.WriteAssertionsResponse:
    """WriteAssertions."""
    exchange.model_id = request.authorization_model_id
    assertions = [assertion_of(assertion) for assertion in request.assertions]
    size = sum(assertion.ByteSize() for assertion in request.assertions)
    query = WriteAssertionsQuery(request.store_id, request.authorization_model_id, assertions, size)
    await write_assertions(services, exchange.call, query)
    return pb.WriteAssertionsResponse()


async def read_asserted(
    services: Services, exchange: Exchange, request: pb.ReadAssertionsRequest
) -> pb.ReadAssertionsResponse:
    """ReadAssertions."""
    exchange.model_id = request.authorization_model_id
    query = ReadAssertionsQuery(request.store_id, request.authorization_model_id)
    found = await read_assertions(services, exchange.call, query)
    assertions = [assertion_message(assertion) for assertion in found]
    return pb.ReadAssertionsResponse(authorization_model_id=query.model_id, assertions=assertions)
