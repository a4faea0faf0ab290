"""Which relations a kind of user may have at all, by the model alone. Used by `model.plan` to prune before any read."""

from __future__ import annotations

from authz.model.compile import CompiledModel
from authz.model.rewrite import Computed, Direct, Exclusion, Intersection, Rewrite, TupleToUserset, Union
from authz.tuples import UserKind


class Reachability:
    """The relations that a user of one kind may have under some tuples: a least fixpoint over the model."""

    def __init__(self, model: CompiledModel, kind: UserKind) -> None:
        self._model = model
        self._kind = kind
        self._reached: set[tuple[str, str]] = set()
        if kind.relation:
            self._reached.add((kind.type, kind.relation))
        waiting = [relation for relations in model.types.values() for relation in relations.values()]
        while True:
            new = {(each.type, each.name) for each in waiting if self.admits(each.type, each.rewrite)}
            if new <= self._reached:
                break
            self._reached |= new
            waiting = [each for each in waiting if (each.type, each.name) not in self._reached]

    def contains(self, type_: str, relation: str) -> bool:
        """Whether the user may have the relation."""
        return (type_, relation) in self._reached

    def admits(self, type_: str, rewrite: Rewrite) -> bool:
        """Whether the user may come through a rewrite of one of the type's relations."""
        match rewrite:
            case Direct(restrictions):
                return any(self._admits_user(restriction.user) for restriction in restrictions)
            case Computed(name):
                return (type_, name) in self._reached
            case TupleToUserset(tupleset, computed):
                parents = self._model.types[type_][tupleset].restrictions
                return any((restriction.user.type, computed) in self._reached for restriction in parents)
            case Union(operands):
                return any(self.admits(type_, operand) for operand in operands)
            case Intersection(operands):
                return all(self.admits(type_, operand) for operand in operands)
            case Exclusion(base, _):
                return self.admits(type_, base)

    def _admits_user(self, user: UserKind) -> bool:
        kind = self._kind
        if user.relation:
            return user == kind or (user.type, user.relation) in self._reached
        return user == kind or (user.wildcard and not kind.relation and user.type == kind.type)
