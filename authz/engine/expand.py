"""Expand: one level of a relation's definition as a tree of who and what it names. Called by `commands`.

Conditions are not evaluated, and tuples that the model does not allow are left out, as the public API defines it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import merge
from itertools import islice

from authz.engine.budget import Budget
from authz.index.rows import MISSING, View, members
from authz.model.compile import CompiledModel
from authz.model.plan import Edge
from authz.model.rewrite import (
    Computed,
    Direct,
    Exclusion,
    Intersection,
    Restriction,
    Rewrite,
    TupleToUserset,
    Union,
)
from authz.tuples import object_type

SORTED_AT_ONCE = 5_000
"""Names that are sorted in one go: some milliseconds."""


@dataclass(frozen=True, slots=True)
class UsersLeaf:
    """Users that tuples name directly."""

    name: str
    users: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ComputedLeaf:
    """All users of one userset."""

    name: str
    userset: str


@dataclass(frozen=True, slots=True)
class TupleToUsersetLeaf:
    """All users of the usersets that a tupleset leads to."""

    name: str
    tupleset: str
    computed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UnionNode:
    """Any of the children."""

    name: str
    children: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class IntersectionNode:
    """All of the children."""

    name: str
    children: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class DifferenceNode:
    """The base without what is subtracted."""

    name: str
    base: Node
    subtract: Node


Node = UsersLeaf | ComputedLeaf | TupleToUsersetLeaf | UnionNode | IntersectionNode | DifferenceNode


class Expand:
    """One expansion. `run` it; while it says None, fetch the view's missing rows and run it again."""

    def __init__(self, view: View, model: CompiledModel, budget: Budget, *, object_: str, relation: str) -> None:
        self._view = view
        self._model = model
        self._budget = budget
        self._object = object_
        self._type = object_type(object_)
        self._relation = relation
        self._name = f"{object_}#{relation}"
        self._is_missing = False

    def run(self) -> Node | None:
        """The tree, or None when rows are missing."""
        self._is_missing = False
        tree = self._node(self._model.types[self._type][self._relation].rewrite)
        return None if self._is_missing else tree

    def _node(self, rewrite: Rewrite) -> Node:
        name = self._name
        match rewrite:
            case Direct(restrictions):
                return UsersLeaf(name, self._users(self._relation, restrictions))
            case Computed(relation):
                return ComputedLeaf(name, f"{self._object}#{relation}")
            case TupleToUserset(tupleset, computed):
                parents = self._users(tupleset, self._model.types[self._type][tupleset].restrictions)
                usersets = tuple(f"{parent}#{computed}" for parent in parents)
                return TupleToUsersetLeaf(name, f"{self._object}#{tupleset}", usersets)
            case Union(operands):
                return UnionNode(name, tuple(self._node(operand) for operand in operands))
            case Intersection(operands):
                return IntersectionNode(name, tuple(self._node(operand) for operand in operands))
            case Exclusion(base, subtract):
                return DifferenceNode(name, self._node(base), self._node(subtract))

    def _users(self, relation: str, restrictions: tuple[Restriction, ...]) -> tuple[str, ...]:
        """The users of an object's relation that the model allows, sorted."""
        object_ = self._view.find(self._object)
        if object_ is None:
            return ()
        found: list[str] = []
        for restriction in dict.fromkeys(restrictions):
            suffix = f"#{restriction.user.relation}" if restriction.user.relation else ""
            found.extend(self._view.name(user) + suffix for user in self._row(relation, restriction, object_))
        return _in_order(set(found))

    def _row(self, relation: str, restriction: Restriction, object_: int) -> Iterator[int]:
        for rows in self._view.forward(Edge(self._type, relation, *restriction)):
            row = rows.get(object_)
            if row is MISSING:
                self._is_missing = True
            else:
                self._budget.spend(len(members(row)))
                yield from members(row)


def _in_order(names: set[str]) -> tuple[str, ...]:
    """The names, sorted a piece at a time: one long sort would keep every other thread waiting."""
    if len(names) <= SORTED_AT_ONCE:
        return tuple(sorted(names))
    rest = iter(names)
    pieces = iter(lambda: sorted(islice(rest, SORTED_AT_ONCE)), [])
    return tuple(merge(*pieces))
