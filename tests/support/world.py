"""Ask the engine over tuples in memory, without store or server. Used by engine and property tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from authz.engine.budget import Budget
from authz.engine.check import check
from authz.engine.expand import Expand, Node
from authz.engine.kleene import ALLOWED, UNKNOWN
from authz.engine.list_objects import list_objects
from authz.engine.list_users import list_users
from authz.index.memory import TupleIndex
from authz.index.overlay import Overlay
from authz.index.rows import View
from authz.model.compile import CompiledModel
from authz.tuples import RelationshipTuple, UserKind

MAX_ROUNDS = 100_000
Answer = TypeVar("Answer")


def unlimited() -> Budget:
    """A budget that never ends."""
    return Budget(lambda: None)


class World:
    """A model with tuples; each question may bring contextual tuples and context."""

    def __init__(
        self, model: CompiledModel, tuples: Iterable[RelationshipTuple] = (), *, view: Callable[[], View] | None = None
    ) -> None:
        self.model = model
        index = TupleIndex(1)
        index.load(tuples)
        self._view = view or (lambda: index)

    def view(self, contextual: Iterable[RelationshipTuple] = ()) -> View:
        """The view that questions read."""
        contextual = tuple(contextual)
        return Overlay(self._view(), contextual) if contextual else self._view()

    def check(
        self,
        user: str,
        relation: str,
        object_: str,
        *,
        context: Mapping[str, Any] | None = None,
        contextual: Iterable[RelationshipTuple] = (),
    ) -> bool:
        """Check."""
        view = self.view(contextual)
        question = check(
            view, self.model, unlimited(), object_=object_, relation=relation, user=user, context=context or {}
        )
        return settle(view, question.run) is ALLOWED

    def list_objects(
        self,
        user: str,
        relation: str,
        type_: str,
        *,
        context: Mapping[str, Any] | None = None,
        contextual: Iterable[RelationshipTuple] = (),
    ) -> list[str]:
        """ListObjects, in the order found."""
        view = self.view(contextual)
        found: list[str] = []
        listing = list_objects(
            view,
            self.model,
            unlimited(),
            lambda name: found.append(name) is None,
            type_=type_,
            relation=relation,
            user=user,
            context=context or {},
        )
        if listing:
            settle(view, listing.run)
        return found

    def list_users(
        self,
        object_: str,
        relation: str,
        kind: UserKind,
        *,
        context: Mapping[str, Any] | None = None,
        contextual: Iterable[RelationshipTuple] = (),
    ) -> list[str]:
        """ListUsers, in the order found."""
        view = self.view(contextual)
        found: list[str] = []
        listing = list_users(
            view,
            self.model,
            unlimited(),
            lambda name: found.append(name) is None,
            object_=object_,
            relation=relation,
            kind=kind,
            context=context or {},
        )
        if listing:
            settle(view, listing.run)
        return found

    def expand(self, relation: str, object_: str) -> Node:
        """Expand."""
        view = self.view()
        question = Expand(view, self.model, unlimited(), object_=object_, relation=relation)
        return settle(view, lambda: question.run() or UNKNOWN)  # type: ignore[arg-type, return-value]


def settle(view: View, run: Callable[[], Answer]) -> Answer:
    """Run until no rows are missing, fetching synchronously."""
    for _ in range(MAX_ROUNDS):
        value = run()
        if value is not UNKNOWN:
            return value
        bring(view)
    raise AssertionError("the question never settles")


def bring(view: View) -> None:
    """Fetch what is missing, without an event loop: a test view waits for nothing, but may give way to others."""
    fetching = view.fetch()
    with suppress(StopIteration):
        for _ in range(MAX_ROUNDS):
            if fetching.send(None) is not None:
                raise AssertionError("a test view must fetch without waiting")
