"""Does a user have a relation on an object. Called by the edge and the CLI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from authz.call import Call
from authz.commands.decision import check_question, decide
from authz.commands.evaluate import evaluate
from authz.commands.services import Services
from authz.consistency import Consistency
from authz.tuples import JsonValue, RelationshipTuple


class CheckQuery(NamedTuple):
    """The question, with what is true for this request alone. The empty model id means the newest model."""

    store_id: str
    model_id: str
    object: str
    relation: str
    user: str
    contextual_tuples: Sequence[RelationshipTuple] = ()
    context: Mapping[str, JsonValue] = {}
    consistency: Consistency = Consistency()


class Checked(NamedTuple):
    """The decision, and the model and revision at which it holds."""

    allowed: bool
    model_id: str
    revision: int


async def check(services: Services, call: Call, query: CheckQuery) -> Checked:
    """Decide.

    Raises:
        ModelNotFound, LatestModelNotFound: there is no such model.
        InvalidRequest: a name is malformed or not defined by the model.
        InvalidTuple: a contextual tuple is not allowed by the model.
        ConditionFailed: the decision depends on a condition that has no value.
        InvalidConsistencyToken, DeadlineExceeded, Cancelled: as they say.

    """
    model = await services.models.get(query.store_id, query.model_id, is_exact=query.consistency.is_exact)
    check_question(model, query)
    view = await services.indexes.view(query.store_id, query.consistency)
    revision = view.revision
    allowed = await evaluate(services.clock, call, view, lambda view, budget: decide(view, model, budget, query))
    return Checked(allowed, model.id, revision)
