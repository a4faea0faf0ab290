"""Which relations a relation is defined by, and least fixpoints over them. Used by `validate` and `reach`."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from authz.model.rewrite import Computed, Direct, TupleToUserset, leaves

if TYPE_CHECKING:
    from authz.model.compile import CompiledModel, Relation

RelationKey = tuple[str, str]
"""(type, relation)."""


def dependencies(model: CompiledModel, relation: Relation) -> Iterator[RelationKey]:
    """The relations whose users may become users of a relation in one step."""
    for leaf in leaves(relation.rewrite):
        match leaf:
            case Computed(name):
                yield relation.type, name
            case TupleToUserset(tupleset, computed):
                for restriction in model.types[relation.type][tupleset].restrictions:
                    if model.has_relation(restriction.user.type, computed):
                        yield restriction.user.type, computed
            case Direct(restrictions):
                for restriction in restrictions:
                    if restriction.user.relation:
                        yield restriction.user.type, restriction.user.relation


def dependents(model: CompiledModel) -> Mapping[RelationKey, tuple[RelationKey, ...]]:
    """For each relation those that depend on it directly."""
    found: dict[RelationKey, dict[RelationKey, None]] = {}
    for relations in model.types.values():
        for relation in relations.values():
            found.setdefault((relation.type, relation.name), {})
            for key in dependencies(model, relation):
                found.setdefault(key, {})[relation.type, relation.name] = None
    return {key: tuple(users) for key, users in found.items()}


def least_fixpoint(
    model: CompiledModel, holds: Callable[[Relation, set[RelationKey]], bool], start: Iterable[RelationKey] = ()
) -> set[RelationKey]:
    """The least set of relations that contains `start` and every relation of which `holds` is true, given the set.

    `holds` must be monotone. A relation is looked at again only when one that it depends on has come in, so the cost is
    that of the model's edges, whatever the order of its definitions.
    """
    held = set(start)
    queue = deque(model.dependents)
    while queue:
        key = queue.popleft()
        if key not in held and holds(model.types[key[0]][key[1]], held):
            held.add(key)
            queue.extend(model.dependents[key])
    return held
