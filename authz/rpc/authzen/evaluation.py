"""Handlers of the evaluations of AuthZEN, one and many. Named in `methods`."""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.struct_pb2 import ListValue, Struct

from authz._proto.authz.v1 import authzen_pb2 as pb
from authz.commands.accesses import Access
from authz.commands.evaluations import Evaluated, EvaluationsQuery, check_count, decide_all
from authz.commands.series import Result, Semantic
from authz.commands.services import Services
from authz.errors import InvalidRequest
from authz.rpc.authzen.asking import model_of
from authz.rpc.authzen.entities import access_of, accesses_of
from authz.rpc.authzen.reasons import Source, error_context, reason_context
from authz.rpc.exchange import Exchange
from authz.rpc.metadata import consistency_of, tell_model, tell_revision
from authz.tuples import JsonValue

_ANY_CONSISTENCY = 0


async def evaluation(services: Services, exchange: Exchange, request: pb.EvaluationRequest) -> pb.EvaluationResponse:
    """Evaluation."""
    decision, context = await _one(services, exchange, request)
    return pb.EvaluationResponse(decision=decision, context=context)


async def evaluations(services: Services, exchange: Exchange, request: pb.EvaluationsRequest) -> pb.EvaluationsResponse:
    """Evaluations; one alone when the request lists none."""
    if not request.evaluations.values:
        decision, context = await _one(services, exchange, request)
        return pb.EvaluationsResponse(decision=decision, context=context)
    check_count(services.limits, len(request.evaluations.values))
    items = accesses_of(request)
    semantic = Semantic(request.options.evaluations_semantic or Semantic.EXECUTE_ALL)
    found = await _decide(services, exchange, items, semantic)
    source = _source(services, exchange, found) if request.options.reasons else None
    answers = ListValue()
    for result, item in zip(found.results, items, strict=False):
        answers.values.add().struct_value.update(_answer(result, item, source))
    if source is not None and semantic.ends_with(found.results[-1]):
        answers.values[-1].struct_value.fields["context"].struct_value["reason"] = semantic.value
    return pb.EvaluationsResponse(evaluations=answers)


async def _one(
    services: Services, exchange: Exchange, request: pb.EvaluationRequest | pb.EvaluationsRequest
) -> tuple[bool, Struct | None]:
    access = access_of(request)
    found = await _decide(services, exchange, [access], Semantic.EXECUTE_ALL)
    (result,) = found.results
    if not request.options.reasons:
        return result is True, None
    context = Struct()
    context.update(reason_context(result, access, _source(services, exchange, found)))
    return result is True, context


async def _decide(
    services: Services, exchange: Exchange, items: Sequence[Access | InvalidRequest], semantic: Semantic
) -> Evaluated:
    query = EvaluationsQuery(
        exchange.store_id, model_of(exchange), items, semantic, consistency_of(exchange, _ANY_CONSISTENCY)
    )
    found = await decide_all(services, exchange.call, query)
    tell_model(exchange, found.model_id)
    tell_revision(services, exchange, found.revision)
    exchange.decisions = [result if isinstance(result, bool) else None for result in found.results]
    return found


def _answer(result: Result, item: Access | InvalidRequest, source: Source | None) -> dict[str, JsonValue]:
    context: dict[str, JsonValue] = {}
    if isinstance(result, InvalidRequest):
        context |= error_context(result)
    if source is not None:
        context |= reason_context(result, item, source)
    decided: dict[str, JsonValue] = {"decision": result is True}
    return {**decided, "context": context} if context else decided


def _source(services: Services, exchange: Exchange, found: Evaluated) -> Source:
    return Source(found.model_id, services.tokens.encode(exchange.store_id, found.revision))
