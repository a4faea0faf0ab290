"""Many decisions at one revision. Called by the edge and the CLI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from authz.call import Call
from authz.commands.decision import check_question
from authz.commands.evaluate import evaluate
from authz.commands.series import Result, Series
from authz.commands.services import Services
from authz.consistency import Consistency
from authz.errors import InvalidRequest
from authz.model.compile import CompiledModel
from authz.tuples import JsonValue, RelationshipTuple


class BatchItem(NamedTuple):
    """One question of a batch; the correlation id names its answer."""

    correlation_id: str
    object: str
    relation: str
    user: str
    contextual_tuples: Sequence[RelationshipTuple] = ()
    context: Mapping[str, JsonValue] = {}


class BatchCheckQuery(NamedTuple):
    """The questions. The empty model id means the newest model."""

    store_id: str
    model_id: str
    items: Sequence[BatchItem]
    consistency: Consistency = Consistency()


class BatchChecked(NamedTuple):
    """Results by correlation id, and the model and revision at which they hold."""

    results: dict[str, Result]
    model_id: str
    revision: int


async def batch_check(services: Services, call: Call, query: BatchCheckQuery) -> BatchChecked:
    """Decide every item.

    Raises:
        InvalidRequest: no items, too many, or a correlation id that comes twice.
        ModelNotFound, LatestModelNotFound: there is no such model.
        InvalidConsistencyToken, DeadlineExceeded, Cancelled: as they say.

    """
    _check_items(query.items, services.limits.max_checks_per_batch)
    model = await services.models.get(query.store_id, query.model_id, is_exact=query.consistency.is_exact)
    questions = [_askable(model, item) for item in query.items]
    view = await services.indexes.view(query.store_id, query.consistency)
    revision = view.revision
    decided = await evaluate(
        services.clock, call, view, lambda view, budget: Series(view, model, budget, questions).run
    )
    names = (item.correlation_id for item in query.items)
    return BatchChecked(dict(zip(names, decided, strict=True)), model.id, revision)


def _askable(model: CompiledModel, item: BatchItem) -> BatchItem | InvalidRequest:
    """The item, or why it cannot be asked."""
    try:
        check_question(model, item)
    except InvalidRequest as error:
        return error
    return item


def _check_items(items: Sequence[BatchItem], allowed: int) -> None:
    if not items:
        raise InvalidRequest("a batch needs at least one check")
    if len(items) > allowed:
        raise InvalidRequest(f"the batch has {len(items)} checks: at most {allowed} are allowed")
    seen: set[str] = set()
    for item in items:
        if not item.correlation_id:
            raise InvalidRequest(f"a check of `{item.object}#{item.relation}@{item.user}` has no correlation id")
        if item.correlation_id in seen:
            raise InvalidRequest(f"correlation id `{item.correlation_id}` is used twice")
        seen.add(item.correlation_id)
