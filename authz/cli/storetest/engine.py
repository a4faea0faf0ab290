"""The service's engine over tuples in memory. Asks one question at a time; called by `run`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz.commands.decision import Question, check_question, decide
from authz.engine.budget import Budget
from authz.engine.list_objects import list_objects
from authz.engine.list_users import list_users
from authz.errors import InvalidRequest
from authz.index.memory import TupleIndex
from authz.model.tuples import check_relation, check_target, user_problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from authz.model.compile import CompiledModel
    from authz.tuples import JsonValue, RelationshipTuple, UserKind

    Context = Mapping[str, JsonValue]


class Engine:
    """A model and tuples that never change; every row is in memory, so a question runs once."""

    def __init__(self, model: CompiledModel, tuples: Iterable[RelationshipTuple]) -> None:
        self._model = model
        self._index = TupleIndex(1)
        self._index.load(tuples)

    def check(self, user: str, relation: str, object_: str, context: Context) -> bool:
        """Check.

        Raises:
            InvalidRequest: a name is malformed or not in the model, or a condition has no value.

        """
        question = Question(object_, relation, user, (), context)
        check_question(self._model, question)
        return bool(decide(self._index, self._model, _unlimited(), question)())

    def list_objects(self, user: str, relation: str, type_: str, context: Context) -> set[str]:
        """List objects.

        Raises:
            InvalidRequest: as for `check`.

        """
        check_relation(self._model, type_, relation)
        problem = user_problem(self._model, user)
        if problem:
            raise InvalidRequest(problem)
        found: set[str] = set()
        walk = list_objects(
            self._index,
            self._model,
            _unlimited(),
            _into(found),
            type_=type_,
            relation=relation,
            user=user,
            context=context,
        )
        if walk is not None:
            walk.run()
        return found

    def list_users(self, object_: str, relation: str, kinds: Iterable[UserKind], context: Context) -> set[str]:
        """List users of several kinds.

        Raises:
            InvalidRequest: as for `check`.

        """
        check_target(self._model, object_, relation)
        found: set[str] = set()
        for kind in kinds:
            if kind.relation:
                check_relation(self._model, kind.type, kind.relation)
            elif not self._model.has_type(kind.type):
                raise InvalidRequest(f"type `{kind.type}` is not defined")
            walk = list_users(
                self._index,
                self._model,
                _unlimited(),
                _into(found),
                object_=object_,
                relation=relation,
                kind=kind,
                context=context,
            )
            if walk is not None:
                walk.run()
        return found


def _unlimited() -> Budget:
    """An operator waits, and ends the wait with Ctrl-C."""
    return Budget(lambda: None)


def _into(found: set[str]) -> Callable[[str], bool]:
    def emit(name: str) -> bool:
        found.add(name)
        return True

    return emit
