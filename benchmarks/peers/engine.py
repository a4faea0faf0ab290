"""Our own engine alone, over tuples in memory. Opened by `peer`."""

from __future__ import annotations

from collections.abc import Sequence

from authz.engine.budget import Budget
from authz.engine.check import check
from authz.engine.kleene import ALLOWED
from authz.engine.list_objects import list_objects
from authz.errors import AuthzError
from authz.index.memory import TupleIndex
from authz.index.overlay import Overlay
from authz.index.rows import View
from authz.model.compile import CompiledModel, compile_model
from benchmarks.peers.batches import batches_of
from benchmarks.peers.peer import Failed
from benchmarks.peers.translation import MODEL_ID
from benchmarks.workloads.world import ListQuestion, Question, World
from schema_dsl import dsl_to_json

_PER_LOAD = 10_000


def _never() -> None:
    """The budget of a question without a deadline."""


class OwnEngine:
    """The resident index with the engine over it."""

    name = "authz-engine"
    is_server = False
    is_apart = False
    note = "this project's engine over its index in memory, in the asking process; nothing else of the service"

    def __init__(self) -> None:
        self._model: CompiledModel | None = None
        self._index = TupleIndex(1)

    @classmethod
    def open(cls, argument: str) -> OwnEngine:
        """Takes no argument."""
        if argument:
            raise ValueError(f"`{cls.name}` takes no argument, got `{argument}`")
        return cls()

    def load(self, world: World) -> None:
        """Compile the model, and enter the tuples."""
        self._model = compile_model(MODEL_ID, dsl_to_json(world.model))
        self._index = TupleIndex(1)
        for batch in batches_of(world.tuples(), _PER_LOAD):
            self._index.load(batch)

    def ask(self, questions: Sequence[Question]) -> list[bool]:
        """Check each."""
        assert self._model is not None
        index, model = self._index, self._model
        answers = []
        try:
            for _, object_, relation, user, _, contextual, context in questions:
                view: View = Overlay(index, contextual) if contextual else index
                asked = check(
                    view, model, Budget(_never), object_=object_, relation=relation, user=user, context=context
                )
                answers.append(asked.run() is ALLOWED)
        except AuthzError as error:
            raise Failed(error.message) from error
        return answers

    def list_objects(self, question: ListQuestion) -> set[str]:
        """List."""
        assert self._model is not None
        found: set[str] = set()

        def emit(name: str) -> bool:
            found.add(name)
            return True

        listing = list_objects(
            self._index,
            self._model,
            Budget(_never),
            emit,
            type_=question.object_type,
            relation=question.relation,
            user=question.user,
            context={},
        )
        if listing:
            listing.run()
        return found

    def cpu_seconds(self) -> float | None:
        """Nothing runs elsewhere."""
        return 0.0

    def close(self) -> None:
        """Nothing is left behind."""
