"""Which users of a kind have a relation on an object. Called by the edge and the CLI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from authz.call import Call
from authz.commands.decision import overlaid
from authz.commands.evaluate import evaluate
from authz.commands.listing import asking, time_to_answer
from authz.commands.services import Services
from authz.consistency import Consistency
from authz.engine.list_users import list_users as walk_users
from authz.errors import InvalidRequest
from authz.model.compile import CompiledModel
from authz.model.tuples import check_contextual_tuples, check_relation, object_problem
from authz.tuples import JsonValue, RelationshipTuple, UserKind


class ListUsersQuery(NamedTuple):
    """The question. The filter names a type of objects, or with a relation its usersets."""

    store_id: str
    model_id: str
    object_type: str
    object_id: str
    relation: str
    filter_type: str
    filter_relation: str = ""
    contextual_tuples: Sequence[RelationshipTuple] = ()
    context: Mapping[str, JsonValue] = {}
    consistency: Consistency = Consistency()


class ListedUsers(NamedTuple):
    """Users as `type:id`, `type:id#relation` or `type:*`, in no order; `truncated` as in `ListedObjects`."""

    users: Sequence[str]
    truncated: str
    model_id: str
    revision: int


async def list_users(services: Services, call: Call, query: ListUsersQuery) -> ListedUsers:
    """List up to the maximum, until the deadline.

    Raises:
        ModelNotFound, LatestModelNotFound: there is no such model.
        TypeNotFound, RelationNotFound: the model does not define what is asked for.
        InvalidRequest, InvalidTuple: the object or a contextual tuple is malformed or not allowed by the model.
        ConditionFailed: a tuple on the way has a condition without a value.
        InvalidConsistencyToken, Cancelled: as they say.

    """
    object_ = f"{query.object_type}:{query.object_id}"
    problem = object_problem(object_)
    if problem:
        raise InvalidRequest(problem)
    model = await services.models.get(query.store_id, query.model_id, is_exact=query.consistency.is_exact)
    _check(model, query)
    kind = UserKind(query.filter_type, query.filter_relation)
    view = await services.indexes.view(query.store_id, query.consistency)
    revision = view.revision
    ask = asking(
        lambda view, budget, emit: walk_users(
            overlaid(view, query.contextual_tuples),
            model,
            budget,
            emit,
            object_=object_,
            relation=query.relation,
            kind=kind,
            context=query.context,
        ),
        services.limits.list_users_max_results,
    )
    deadline = time_to_answer(services.clock, call)
    listing = await evaluate(services.clock, call, view, ask, deadline=deadline)
    return ListedUsers(listing.found, listing.truncated, model.id, revision)


def _check(model: CompiledModel, query: ListUsersQuery) -> None:
    check_relation(model, query.object_type, query.relation)
    if query.filter_relation:
        check_relation(model, query.filter_type, query.filter_relation)
    elif not model.has_type(query.filter_type):
        check_relation(model, query.filter_type, "")
    check_contextual_tuples(model, query.contextual_tuples)
