"""A second opinion on the truth: walk the model over plain dictionaries, tuple by tuple. Used by `run` and tests.

It shares no code with the engine and none with the workloads, and knows neither plans nor caches; it is meant for a
sample of the questions. The worlds here hold no exclusion over a cycle, so that each walk may simply stop where it
comes back to itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from authz.tuples import RelationshipTuple
from benchmarks.workloads.world import ListQuestion, Question, World
from schema_dsl import dsl_to_json

Conditions = Mapping[str, Callable[[Mapping[str, Any]], bool]]
_Atom = tuple[str, str]


class Naive:
    """Answers for one world."""

    def __init__(self, model: str, tuples: Iterable[RelationshipTuple], conditions: Conditions) -> None:
        self._rewrites = {
            (definition["type"], relation): rewrite
            for definition in dsl_to_json(model)["type_definitions"]
            for relation, rewrite in (definition.get("relations") or {}).items()
        }
        self._conditions = conditions
        self._tuples: dict[_Atom, list[RelationshipTuple]] = {}
        for item in tuples:
            self._tuples.setdefault((item.object, item.relation), []).append(item)

    def check(self, question: Question) -> bool:
        """Whether the question's user has the relation."""
        return _Walk(self, question).holds((question.object, question.relation), frozenset())

    def objects(self, listing: ListQuestion) -> set[str]:
        """All objects that a list is to name; as slow as it looks."""
        names = {name for name, _ in self._tuples if name.startswith(f"{listing.object_type}:")}
        asked = (Question("", name, listing.relation, listing.user, allowed=True) for name in names)
        return {question.object for question in asked if self.check(question)}

    def rewrite(self, atom: _Atom) -> Mapping[str, Any] | None:
        """How a relation of an object is defined."""
        return self._rewrites.get((atom[0].split(":", 1)[0], atom[1]))

    def users(self, atom: _Atom, question: Question) -> Iterator[str]:
        """Who stands on the right of the tuples that count for a question."""
        own = [item for item in question.contextual if (item.object, item.relation) == atom]
        for item in [*self._tuples.get(atom, ()), *own]:
            condition = item.condition
            # What is stored wins over what the request brings.
            if condition is None or self._conditions[condition.name]({**question.context, **condition.context}):
                yield item.user


class _Walk:
    """One question."""

    def __init__(self, naive: Naive, question: Question) -> None:
        self._naive = naive
        self._question = question

    def holds(self, atom: _Atom, path: frozenset[_Atom]) -> bool:
        rewrite = self._naive.rewrite(atom)
        return rewrite is not None and atom not in path and self._evaluate(rewrite, atom, path | {atom})

    def _evaluate(self, rewrite: Mapping[str, Any], atom: _Atom, path: frozenset[_Atom]) -> bool:
        ((operator, operand),) = rewrite.items()
        match operator:
            case "this":
                return any(self._is_in(user, path) for user in self._naive.users(atom, self._question))
            case "computedUserset":
                return self.holds((atom[0], operand["relation"]), path)
            case "tupleToUserset":
                above = self._naive.users((atom[0], operand["tupleset"]["relation"]), self._question)
                return any(self.holds((name, operand["computedUserset"]["relation"]), path) for name in above)
            case "union":
                return any(self._evaluate(child, atom, path) for child in operand["child"])
            case "intersection":
                return all(self._evaluate(child, atom, path) for child in operand["child"])
            case _:
                base, subtract = operand["base"], operand["subtract"]
                return self._evaluate(base, atom, path) and not self._evaluate(subtract, atom, path)

    def _is_in(self, user: str, path: frozenset[_Atom]) -> bool:
        asked = self._question.user
        name, _, relation = user.partition("#")
        if relation:
            return self.holds((name, relation), path)
        return user == asked or (user.endswith(":*") and user[:-1] == asked[: len(user) - 1])


def contradictions(world: World, conditions: Conditions, *, sample: int) -> list[Question]:
    """Questions of a sample on which the second opinion differs; the sample is spread over all kinds."""
    naive = Naive(world.model, world.tuples(), conditions)
    of_kind: dict[str, list[Question]] = {}
    for question in world.questions:
        of_kind.setdefault(question.kind, []).append(question)
    share = max(sample // max(len(of_kind), 1), 1)
    chosen = [question for questions in of_kind.values() for question in questions[:share]]
    return [question for question in chosen if naive.check(question) != question.allowed]
