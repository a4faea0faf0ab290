"""Handlers of `authz.v1.AccessService`: roles, and orders that end tokens and calls. Named in `methods`."""

from __future__ import annotations

from authz._proto.authz.v1 import access_pb2 as pb
from authz.access.authorization import grants, list_grants, orders
from authz.commands.services import Services
from authz.rpc.convert.access import directive_message, grant_message, grant_of, revocation_of, term_of
from authz.rpc.exchange import Exchange


async def grant(services: Services, exchange: Exchange, request: pb.GrantRequest) -> pb.GrantResponse:
    """Grant."""
    exchange.store_id = request.grant.store_id
    await grants.give(services, exchange.call, grant_of(request.grant))
    return pb.GrantResponse()


async def withdraw(services: Services, exchange: Exchange, request: pb.WithdrawRequest) -> pb.WithdrawResponse:
    """Withdraw."""
    exchange.store_id = request.grant.store_id
    await grants.withdraw(services, exchange.call, grant_of(request.grant))
    return pb.WithdrawResponse()


async def list_(services: Services, exchange: Exchange, request: pb.ListGrantsRequest) -> pb.ListGrantsResponse:
    """ListGrants."""
    query = list_grants.ListGrantsQuery(
        request.principal, request.store_id, request.page_size, request.continuation_token
    )
    found = await list_grants.list_grants(services, exchange.call, query)
    exchange.results = len(found.grants)
    messages = [grant_message(each) for each in found.grants]
    return pb.ListGrantsResponse(grants=messages, continuation_token=found.continuation_token)


async def revoke(services: Services, exchange: Exchange, request: pb.RevokeTokensRequest) -> pb.RevokeTokensResponse:
    """RevokeTokens."""
    made = await orders.revoke_tokens(services, exchange.call, revocation_of(request), term_of(request))
    return pb.RevokeTokensResponse(directive=directive_message(made))


async def suspend(services: Services, exchange: Exchange, request: pb.SuspendRequest) -> pb.SuspendResponse:
    """Suspend."""
    made = await orders.suspend(services, exchange.call, request.principal, term_of(request))
    return pb.SuspendResponse(directive=directive_message(made))


async def lift(services: Services, exchange: Exchange, request: pb.LiftRequest) -> pb.LiftResponse:
    """Lift."""
    lifted = await orders.lift(services, exchange.call, request.id, orders.KINDS)
    return pb.LiftResponse(directive=directive_message(lifted))


async def list_orders(
    services: Services, exchange: Exchange, request: pb.ListDirectivesRequest
) -> pb.ListDirectivesResponse:
    """ListDirectives."""
    found = await orders.list_directives(services, exchange.call, request.kind)
    exchange.results = len(found)
    return pb.ListDirectivesResponse(directives=[directive_message(each) for each in found])
