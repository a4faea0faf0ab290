"""Which subjects, resources or actions complete an access, in the order of their names, window by window. Called by the
edge.

What is found is exactly what an evaluation allows: where a condition without a value decides, a name is left out, and
the answer says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple, Protocol

from authz.call import Call
from authz.commands.accesses import (
    Access,
    Action,
    check_action,
    check_type,
    context_of,
    object_name,
    parameters_of,
    user_name,
)
from authz.commands.evaluate import Ask, evaluate
from authz.commands.evaluations import questions_of
from authz.commands.listing import CUT_BY_DEADLINE, time_to_answer
from authz.commands.series import Series
from authz.commands.services import Services
from authz.commands.windows import Collector, Names, Window
from authz.consistency import Consistency
from authz.engine.budget import Budget
from authz.engine.kleene import UNKNOWN, Value
from authz.engine.list_objects import Emit, list_objects
from authz.engine.list_users import list_users
from authz.errors import AuthzError, ConditionFailed, DeadlineExceeded, InvalidRequest
from authz.index.rows import View
from authz.model.compile import CompiledModel
from authz.model.plan import plans_for
from authz.tuples import UserKind


class SearchQuery(NamedTuple):
    """The access, with what is searched for left empty. The empty model id means the newest model."""

    store_id: str
    model_id: str
    access: Access
    window: Window
    consistency: Consistency = Consistency()


class Searched(NamedTuple):
    """Names, and the model and revision at which they hold."""

    names: Names
    model_id: str
    revision: int


class _Walk(Protocol):
    @property
    def left_out(self) -> ConditionFailed | None: ...
    def run(self) -> Value: ...


_Prepare = Callable[[View, Budget, Emit], _Walk | None]


async def search_subjects(services: Services, call: Call, query: SearchQuery) -> Searched:
    """The ids of the subjects.

    Raises:
        ModelNotFound, LatestModelNotFound: there is no such model.
        InvalidConsistencyToken, Cancelled: as they say.

    """
    subject, action, resource, _ = query.access

    def prepare(model: CompiledModel) -> _Prepare:
        check_action(model, resource.type, action.name)
        check_type(model, subject.type)
        object_, kind = object_name(model, resource), UserKind(subject.type)
        context = context_of(parameters_of(model), query.access)
        return lambda view, budget, emit: list_users(
            view,
            model,
            budget,
            emit,
            object_=object_,
            relation=action.name,
            kind=kind,
            context=context,
            leaves_out=True,
        )

    return await _search(services, call, query, prepare)


async def search_resources(services: Services, call: Call, query: SearchQuery) -> Searched:
    """The ids of the resources.

    Raises:
        AuthzError: as `search_subjects`.

    """
    subject, action, resource, _ = query.access

    def prepare(model: CompiledModel) -> _Prepare:
        check_action(model, resource.type, action.name)
        user, context = user_name(model, subject), context_of(parameters_of(model), query.access)
        return lambda view, budget, emit: list_objects(
            view,
            model,
            budget,
            emit,
            type_=resource.type,
            relation=action.name,
            user=user,
            context=context,
            leaves_out=True,
        )

    return await _search(services, call, query, prepare)


async def search_actions(services: Services, call: Call, query: SearchQuery) -> Searched:
    """The names of the actions: relations that the type of the subject can have at all, and that an operator calls so.

    Raises:
        AuthzError: as `search_subjects`, and DeadlineExceeded.

    """
    model = await services.models.get(query.store_id, query.model_id, is_exact=query.consistency.is_exact)
    names = _actions(model, query.access, services.limits.actions)
    accesses = [query.access._replace(action=Action(name)) for name in names]
    questions = questions_of(model, accesses)
    view = await services.indexes.view(query.store_id, query.consistency)
    revision = view.revision
    results = await evaluate(
        services.clock,
        call,
        view,
        lambda view, budget: Series(view, model, budget, questions).run,
    )
    collector = Collector(query.window)
    undecided: dict[str, None] = {}
    for name, result in zip(names, results, strict=True):
        if result is True:
            collector.take(name)
        elif isinstance(result, ConditionFailed):
            undecided[result.message] = None
    return Searched(collector.names(undecided="; ".join(undecided)), model.id, revision)


def _actions(model: CompiledModel, access: Access, patterns: Sequence[str]) -> list[str]:
    """The relations to ask about; none when no tuple can be about such a subject or resource."""
    try:
        user_name(model, access.subject)
        object_name(model, access.resource)
    except InvalidRequest:
        return []
    plans, type_ = plans_for(model, UserKind(access.subject.type)), access.resource.type
    return [
        name
        for name in sorted(model.types[type_])
        if any(fnmatchcase(name, pattern) for pattern in patterns) and plans.plan(type_, name) is not None
    ]


async def _search(
    services: Services, call: Call, query: SearchQuery, prepare: Callable[[CompiledModel], _Prepare]
) -> Searched:
    model = await services.models.get(query.store_id, query.model_id, is_exact=query.consistency.is_exact)
    walk: _Prepare
    try:
        walk = prepare(model)
    except InvalidRequest:
        # Nobody has a relation that is not defined, and nobody is related to what no tuple can hold.
        walk = _nothing
    view = await services.indexes.view(query.store_id, query.consistency)
    revision = view.revision
    deadline = time_to_answer(services.clock, call)
    names = await evaluate(services.clock, call, view, _asking(walk, query.window), deadline=deadline)
    return Searched(names, model.id, revision)


def _nothing(_view: View, _budget: Budget, _emit: Emit) -> None:
    return None


def _asking(prepare: _Prepare, window: Window) -> Ask[Names]:
    """A search as a question for `evaluate`."""

    def ask(view: View, budget: Budget) -> Callable[[], Names | None]:
        collector = Collector(window)
        walk = prepare(view, budget, collector.emit)

        def run() -> Names | None:
            truncated = ""
            try:
                if walk is not None and walk.run() is UNKNOWN:
                    return None
            except DeadlineExceeded:
                truncated = CUT_BY_DEADLINE
            left_out: AuthzError | None = None if walk is None else walk.left_out
            return collector.names(undecided=left_out.message if left_out else "", truncated=truncated)

        return run

    return ask
