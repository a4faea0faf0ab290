"""One decision as the commands ask it of the engine. Used by `check` and `batch_check`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from authz.engine.budget import Budget
from authz.engine.check import check
from authz.engine.kleene import ALLOWED, UNKNOWN
from authz.index.overlay import Overlay
from authz.index.rows import View
from authz.model import tuples
from authz.model.compile import CompiledModel
from authz.tuples import JsonValue, RelationshipTuple


class Question(NamedTuple):
    """Has the user the relation on the object, with what is true for this question alone."""

    object: str
    relation: str
    user: str
    contextual_tuples: Sequence[RelationshipTuple]
    context: Mapping[str, JsonValue]


def check_question(model: CompiledModel, question: Question) -> None:
    """Refuse a question that the model has no answer to.

    Raises:
        InvalidRequest: a name is malformed or not defined by the model.
        InvalidTuple: a contextual tuple is not allowed by the model.

    """
    tuples.check_question(model, question.object, question.relation, question.user)
    tuples.check_contextual_tuples(model, question.contextual_tuples)


def overlaid(view: View, contextual_tuples: Iterable[RelationshipTuple]) -> View:
    """The view with contextual tuples laid over it, if there are any."""
    return Overlay(view, contextual_tuples) if contextual_tuples else view


def decide(view: View, model: CompiledModel, budget: Budget, question: Question) -> Callable[[], bool | None]:
    """The question, ready to run; None says that rows are missing."""
    prepared = check(
        overlaid(view, question.contextual_tuples),
        model,
        budget,
        object_=question.object,
        relation=question.relation,
        user=question.user,
        context=question.context,
    )

    def run() -> bool | None:
        value = prepared.run()
        return None if value is UNKNOWN else value is ALLOWED

    return run
