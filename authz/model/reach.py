"""Which relations a kind of user may have at all, by the model alone. Used by `model.plan` to prune before any read."""

from __future__ import annotations

from authz.model.compile import CompiledModel, Relation
from authz.model.dependents import RelationKey, least_fixpoint
from authz.model.rewrite import Computed, Direct, Exclusion, Intersection, Rewrite, TupleToUserset, Union
from authz.tuples import UserKind


class Reachability:
    """The relations that a user of one kind may have under some tuples: a least fixpoint over the model."""

    def __init__(self, model: CompiledModel, kind: UserKind) -> None:
        self._model = model
        self._kind = kind
        # A userset has its own relation on its own object.
        own = [(kind.type, kind.relation)] if kind.relation else []
        self._reached = least_fixpoint(model, self._holds, own)

    def contains(self, type_: str, relation: str) -> bool:
        """Whether the user may have the relation."""
        return (type_, relation) in self._reached

    def admits(self, type_: str, rewrite: Rewrite) -> bool:
        """Whether the user may come through a rewrite of one of the type's relations."""
        return self._admits(type_, rewrite, self._reached)

    def _holds(self, relation: Relation, reached: set[RelationKey]) -> bool:
        return self._admits(relation.type, relation.rewrite, reached)

    def _admits(self, type_: str, rewrite: Rewrite, reached: set[RelationKey]) -> bool:
        match rewrite:
            case Direct(restrictions):
                return any(self._admits_user(restriction.user, reached) for restriction in restrictions)
            case Computed(name):
                return (type_, name) in reached
            case TupleToUserset(tupleset, computed):
                parents = self._model.types[type_][tupleset].restrictions
                return any((restriction.user.type, computed) in reached for restriction in parents)
            case Union(operands):
                return any(self._admits(type_, operand, reached) for operand in operands)
            case Intersection(operands):
                return all(self._admits(type_, operand, reached) for operand in operands)
            case Exclusion(base, _):
                return self._admits(type_, base, reached)

    def _admits_user(self, user: UserKind, reached: set[RelationKey]) -> bool:
        kind = self._kind
        if user.relation:
            return user == kind or (user.type, user.relation) in reached
        return user == kind or (user.wildcard and not kind.relation and user.type == kind.type)
