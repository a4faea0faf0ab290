"""What is asked in micro-benchmarks: questions over tuples in memory, one after another without end. Used by them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import cycle
from typing import NamedTuple

from authz.engine.budget import Budget
from authz.engine.check import check
from authz.engine.kleene import ALLOWED
from authz.index.memory import TupleIndex
from authz.index.overlay import Overlay
from authz.index.rows import View
from authz.model.compile import CompiledModel, compile_model
from authz.tuples import RelationshipTuple
from benchmarks.workloads.world import Question, World
from schema_dsl import dsl_to_json

MODEL_ID = "01HZZZZZZZZZZZZZZZZZZZZZZZ"
SMALL_TUPLES = 30_000
"""Of worlds whose size does not matter."""


class Subject(NamedTuple):
    """A model with tuples, and questions about them."""

    model: CompiledModel
    tuples: TupleIndex
    questions: list[Question]

    def asking(self, kind: str = "") -> Callable[[], bool]:
        """A function that answers the next question of a kind, or of all kinds, with each call."""
        chosen = [question for question in self.questions if kind in ("", question.kind)]
        following = cycle(chosen).__next__
        index, model = self.tuples, self.model

        def ask() -> bool:
            question = following()
            view: View = Overlay(index, question.contextual) if question.contextual else index
            asked = check(
                view,
                model,
                unlimited(),
                object_=question.object,
                relation=question.relation,
                user=question.user,
                context=question.context,
            )
            return asked.run() is ALLOWED

        for question in chosen:
            if ask() != question.allowed:
                raise AssertionError(f"wrong answer to {question}")
        return ask


def subject_of(world: World) -> Subject:
    """A world in memory, without remembered decisions."""
    model = compile_model(MODEL_ID, dsl_to_json(world.model))
    return Subject(model, index_of(world.tuples(), decisions=0), list(world.questions))


def index_of(tuples: Iterable[RelationshipTuple], *, decisions: int | None = None) -> TupleIndex:
    """An index at revision 1; `decisions` is how many it remembers, if not the usual number."""
    index = TupleIndex(1) if decisions is None else TupleIndex(1, decisions=decisions)
    index.load(tuples)
    return index


def unlimited() -> Budget:
    """A budget that never ends."""
    return Budget(_never)


def _never() -> None:
    """No deadline."""
