"""Many decisions at one revision. Called by the edge and the CLI.

The items advance together: rows that any of them misses are fetched in one batch. An item that cannot be answered
gets an error of its own and leaves the others alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from authz.call import Call
from authz.commands.decision import check_question, decide
from authz.commands.evaluate import evaluate
from authz.commands.services import Services
from authz.consistency import Consistency
from authz.engine.budget import Budget
from authz.errors import ConditionFailed, InvalidRequest
from authz.index.rows import View
from authz.model.compile import CompiledModel
from authz.tuples import JsonValue, RelationshipTuple

Result = bool | InvalidRequest
"""A decision, or why there is none."""


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
    results: dict[str, Result] = {}
    questions: dict[str, BatchItem] = {}
    for item in query.items:
        try:
            check_question(model, item)
        except InvalidRequest as error:
            results[item.correlation_id] = error
        else:
            questions[item.correlation_id] = item
    view = await services.indexes.view(query.store_id, query.consistency)
    revision = view.revision
    decided = await evaluate(
        services.clock, call, view, lambda view, budget: _Batch(view, model, budget, questions).run
    )
    return BatchChecked({**results, **decided}, model.id, revision)


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


class _Batch:
    """The items still to be decided, over one view."""

    def __init__(self, view: View, model: CompiledModel, budget: Budget, questions: Mapping[str, BatchItem]) -> None:
        self._open: dict[str, Callable[[], bool | None]] = {
            name: decide(view, model, budget, question) for name, question in questions.items()
        }
        self._results: dict[str, Result] = {}

    def run(self) -> dict[str, Result] | None:
        """Every result, or None when rows are missing for some."""
        still = {}
        for name, run in self._open.items():
            try:
                decision = run()
            except ConditionFailed as error:
                self._results[name] = error
                continue
            if decision is None:
                still[name] = run
            else:
                self._results[name] = decision
        self._open = still
        return None if still else self._results
