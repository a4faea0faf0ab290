"""One decision as the commands ask it of the engine. Used by `check` and `batch_check`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from authz.engine.budget import Budget
from authz.engine.check import Check
from authz.index.overlay import Overlay
from authz.index.rows import View
from authz.model import tuples
from authz.model.compile import CompiledModel
from authz.tuples import JsonValue, RelationshipTuple


class Asked(Protocol):
    """Has the user the relation on the object, with what is true for this question alone."""

    @property
    def object(self) -> str:
        """The object, `type:id`."""
        ...

    @property
    def relation(self) -> str:
        """The relation."""
        ...

    @property
    def user(self) -> str:
        """The user: an object, a userset or a typed wildcard."""
        ...

    @property
    def contextual_tuples(self) -> Sequence[RelationshipTuple]:
        """Tuples that exist for this question."""
        ...

    @property
    def context(self) -> Mapping[str, JsonValue]:
        """What conditions are evaluated with."""
        ...


class Question(NamedTuple):
    """A question by itself."""

    object: str
    relation: str
    user: str
    contextual_tuples: Sequence[RelationshipTuple]
    context: Mapping[str, JsonValue]


def check_question(model: CompiledModel, question: Asked) -> None:
    """Refuse a question that the model has no answer to.

    Raises:
        InvalidRequest: a name is malformed or not defined by the model.
        InvalidTuple: a contextual tuple is not allowed by the model.

    """
    tuples.check_question(model, question.object, question.relation, question.user)
    if question.contextual_tuples:
        tuples.check_contextual_tuples(model, question.contextual_tuples)


def overlaid(view: View, contextual_tuples: Iterable[RelationshipTuple]) -> View:
    """The view with contextual tuples laid over it, if there are any."""
    return Overlay(view, contextual_tuples) if contextual_tuples else view


def decide(view: View, model: CompiledModel, budget: Budget, question: Asked) -> Callable[[], bool | None]:
    """The question, ready to run; None says that rows are missing."""
    if question.contextual_tuples:
        view = overlaid(view, question.contextual_tuples)
    names = (question.object, question.relation, question.user)
    return Check(view, model, budget, names, question.context).decide
