"""Handlers of the searches of AuthZEN: subjects, resources, actions. Named in `methods`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from google.protobuf.struct_pb2 import Struct

from authz._proto.authz.v1 import authzen_pb2 as pb
from authz.call import Call
from authz.commands.accesses import Access, Action
from authz.commands.searches import (
    Searched,
    SearchQuery,
    search_actions,
    search_resources,
    search_subjects,
)
from authz.commands.services import Services
from authz.commands.windows import Window
from authz.rpc.authzen.asking import model_of
from authz.rpc.authzen.entities import action_of, entity_of, searched, surroundings
from authz.rpc.authzen.paging import page_message, page_of
from authz.rpc.exchange import Exchange
from authz.rpc.metadata import consistency_of, tell_model, tell_revision, tell_truncated
from authz.tuples import JsonValue

_Search = Callable[[Services, Call, SearchQuery], Awaitable[Searched]]
_Request = pb.SubjectSearchRequest | pb.ResourceSearchRequest | pb.ActionSearchRequest
_ANY_ACTION = Action("")
_ANY_CONSISTENCY = 0


async def subjects(
    services: Services, exchange: Exchange, request: pb.SubjectSearchRequest
) -> pb.SubjectSearchResponse:
    """SubjectSearch."""
    access = Access(
        searched(request.subject, "subject"),
        action_of(request.action),
        entity_of(request.resource, "resource"),
        surroundings(request),
    )
    found, page = await _find(services, exchange, request, access, search_subjects)
    results = [pb.FoundEntity(type=access.subject.type, id=id_) for id_ in found.names.found]
    return pb.SubjectSearchResponse(page=page, context=_context(found), results=results)


async def resources(
    services: Services, exchange: Exchange, request: pb.ResourceSearchRequest
) -> pb.ResourceSearchResponse:
    """ResourceSearch."""
    access = Access(
        entity_of(request.subject, "subject"),
        action_of(request.action),
        searched(request.resource, "resource"),
        surroundings(request),
    )
    found, page = await _find(services, exchange, request, access, search_resources)
    results = [pb.FoundEntity(type=access.resource.type, id=id_) for id_ in found.names.found]
    return pb.ResourceSearchResponse(page=page, context=_context(found), results=results)


async def actions(services: Services, exchange: Exchange, request: pb.ActionSearchRequest) -> pb.ActionSearchResponse:
    """ActionSearch."""
    access = Access(
        entity_of(request.subject, "subject"),
        _ANY_ACTION,
        entity_of(request.resource, "resource"),
        surroundings(request),
    )
    found, page = await _find(services, exchange, request, access, search_actions)
    results = [pb.FoundAction(name=name) for name in found.names.found]
    return pb.ActionSearchResponse(page=page, context=_context(found), results=results)


async def _find(
    services: Services, exchange: Exchange, request: _Request, access: Access, search: _Search
) -> tuple[Searched, pb.PageResponse | None]:
    asked = consistency_of(exchange, _ANY_CONSISTENCY)
    query = SearchQuery(exchange.store_id, model_of(exchange), access, Window(0), asked)
    page = page_of(services, exchange.method.name, query, request.page if request.HasField("page") else None)
    query = query._replace(window=page.window(services.limits.max_found), consistency=page.consistency(services, asked))
    found = await search(services, exchange.call, query)
    tell_model(exchange, found.model_id)
    tell_revision(services, exchange, found.revision)
    tell_truncated(exchange, found.names.truncated)
    exchange.results = len(found.names.found)
    return found, page_message(services, page, found)


def _context(found: Searched) -> Struct | None:
    """What the results do not say; None when they say all."""
    names = found.names
    told: dict[str, JsonValue] = {}
    if names.is_everybody:
        told["wildcard"] = True
    if names.undecided:
        told["undecided"] = names.undecided
    if names.truncated:
        told["truncated"] = names.truncated
    if not told:
        return None
    context = Struct()
    context.update(told)
    return context
