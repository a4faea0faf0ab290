"""Rules about references: every type, relation and condition that a definition names must exist and fit.

Called by `check`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schema_dsl.nodes import Computed, Direct, TupleToUserset, leaves, spanning
from schema_dsl.validation.report import Owner, Report

if TYPE_CHECKING:
    from schema_dsl.nodes import Model, Relation, Restriction, Span, TypeDef


def check_references(report: Report, model: Model) -> None:
    """Report references to nothing, and tuplesets that are more than direct relations."""
    rule = _References(report, model)
    for type_def in model.types:
        for relation in type_def.relations:
            rule.check(type_def, relation)


class _References:
    def __init__(self, report: Report, model: Model) -> None:
        self._report = report
        # Of a type defined twice the last definition counts here; the duplicate is an error of its own.
        self._types = {
            type_def.name.text: {one.name.text: one for one in type_def.relations} for type_def in model.types
        }
        self._conditions = {condition.key or condition.name.text for condition in model.conditions}

    def check(self, type_def: TypeDef, relation: Relation) -> None:
        if relation.name.text not in self._types[type_def.name.text]:
            return
        owner = Owner.of(type_def, relation)
        for leaf in leaves(relation.rewrite):
            if isinstance(leaf, Direct):
                self._check_direct(relation, leaf, owner)
            elif isinstance(leaf, Computed):
                self._check_computed(leaf, owner)
            else:
                self._check_tuple_to_userset(leaf, owner)

    def _check_direct(self, relation: Relation, leaf: Direct, owner: Owner) -> None:
        name = relation.name
        if not relation.restrictions:
            message = f"relation `{name.text}` is assigned by tuples and must say to which types, such as `[user]`"
            self._report.add("assignable-relation-must-have-type", message, name.text, leaf.span or name.span, owner)
        for restriction in relation.restrictions:
            self._check_restriction(restriction, owner)

    def _check_restriction(self, restriction: Restriction, owner: Owner) -> None:
        name = restriction.type
        if name.text not in self._types:
            self._report.add("invalid-type", f"type `{name.text}` does not exist", name.text, name.span, owner)
        condition = restriction.condition
        if condition is not None and condition.text not in self._conditions:
            message = f"condition `{condition.text}` is not defined in the model"
            self._report.add("condition-not-defined", message, condition.text, condition.span, owner)
        if restriction.is_wildcard and restriction.relation is not None:
            message = f"restriction `{restriction.base}#{restriction.relation.text}` has both a wildcard and a relation"
            self._report.add("type-wildcard-relation", message, restriction.base, restriction.span, owner)
        elif restriction.relation is not None and restriction.relation.text not in self._types.get(name.text, {}):
            message = f"`{restriction.relation.text}` is not a relation of type `{name.text}`"
            span = _span_of(restriction)
            self._report.add("invalid-relation-type", message, restriction.base, span, owner)

    def _check_computed(self, leaf: Computed, owner: Owner) -> None:
        name = leaf.relation
        if name.text not in self._types[owner.type_name or ""]:
            message = f"relation `{name.text}` does not exist on type `{owner.type_name}`"
            self._report.add("missing-definition", message, name.text, name.span, owner)

    def _check_tuple_to_userset(self, leaf: TupleToUserset, owner: Owner) -> None:
        tupleset = self._types[owner.type_name or ""].get(leaf.tupleset.text)
        symbol = f"{leaf.computed.text} from {leaf.tupleset.text}"
        if tupleset is None:
            message = f"`{leaf.tupleset.text}` is not a relation of type `{owner.type_name}`"
            self._report.add("invalid-relation-type", message, symbol, leaf.span, owner)
            return
        if not isinstance(tupleset.rewrite, Direct):
            self._not_direct(leaf, owner)
            return
        targets = []
        for restriction in tupleset.restrictions:
            if restriction.is_wildcard or restriction.relation is not None:
                self._not_direct(leaf, owner)
            elif leaf.computed.text not in self._types.get(restriction.type.text, {}):
                targets.append(restriction.type.text)
        if len(targets) < len(tupleset.restrictions):
            # At least one type on the other side has the relation, or the tupleset itself is at fault.
            return
        for target in targets:
            message = f"type `{target}`, which `{leaf.tupleset.text}` points to, has no relation `{leaf.computed.text}`"
            self._report.add("invalid-relation-on-tupleset", message, symbol, leaf.span, owner)

    def _not_direct(self, leaf: TupleToUserset, owner: Owner) -> None:
        name = leaf.tupleset
        message = f"`{name.text}` is used after `from` and may only have plain types, such as `[folder]`"
        self._report.add("tupleuserset-not-direct", message, name.text, name.span, owner)


def _span_of(restriction: Restriction) -> Span | None:
    """Return the place of `type#relation` without a condition."""
    if restriction.type.span is None or restriction.relation is None or restriction.relation.span is None:
        return None
    return spanning(restriction.type.span, restriction.relation.span)
