"""Many accesses decided at one revision, in the semantics of AuthZEN. Called by the edge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from authz.call import Call
from authz.commands.accesses import Access, parameters_of, question_of
from authz.commands.decision import Question
from authz.commands.evaluate import evaluate
from authz.commands.limits import Limits
from authz.commands.series import Result, Semantic, Series
from authz.commands.services import Services
from authz.consistency import Consistency
from authz.errors import EntityLimitExceeded, InvalidRequest
from authz.model.compile import CompiledModel


class EvaluationsQuery(NamedTuple):
    """The accesses, with those that could not even be read. The empty model id means the newest model."""

    store_id: str
    model_id: str
    items: Sequence[Access | InvalidRequest]
    semantic: Semantic = Semantic.EXECUTE_ALL
    consistency: Consistency = Consistency()


class Evaluated(NamedTuple):
    """Results in the order of the items, up to the one that decides, and the model and revision at which they hold."""

    results: Sequence[Result]
    model_id: str
    revision: int


async def decide_all(services: Services, call: Call, query: EvaluationsQuery) -> Evaluated:
    """Decide every item, or as many as the semantic wants.

    Raises:
        EntityLimitExceeded: too many items.
        ModelNotFound, LatestModelNotFound: there is no such model.
        InvalidConsistencyToken, DeadlineExceeded, Cancelled: as they say.

    """
    check_count(services.limits, len(query.items))
    model = await services.models.get(query.store_id, query.model_id, is_exact=query.consistency.is_exact)
    questions = questions_of(model, query.items)
    view = await services.indexes.view(query.store_id, query.consistency)
    revision = view.revision
    results = await evaluate(
        services.clock, call, view, lambda view, budget: Series(view, model, budget, questions, query.semantic).run
    )
    return Evaluated(results, model.id, revision)


def check_count(limits: Limits, count: int) -> None:
    """Refuse more items than one request may hold; to be asked before they are read, which takes time.

    Raises:
        EntityLimitExceeded: as it says.

    """
    if count > limits.max_evaluations:
        raise EntityLimitExceeded(f"the request has {count} evaluations: at most {limits.max_evaluations} are allowed")


def questions_of(model: CompiledModel, items: Sequence[Access | InvalidRequest]) -> list[Question | InvalidRequest]:
    """The questions that items are, with an error in the place of each that is none."""
    parameters = parameters_of(model)
    return [_question(model, parameters, item) for item in items]


def _question(
    model: CompiledModel, parameters: Sequence[str], item: Access | InvalidRequest
) -> Question | InvalidRequest:
    if isinstance(item, InvalidRequest):
        return item
    try:
        return question_of(model, parameters, item)
    except InvalidRequest as error:
        return error
