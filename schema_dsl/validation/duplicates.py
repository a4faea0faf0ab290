"""Rules against saying the same thing twice: types, restrictions of a relation, operands of an operator.

Called by `check`. An error points at the first of the equal things.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schema_dsl.nodes import Computed, Exclusion, TupleToUserset, children
from schema_dsl.validation.report import Owner, Report

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from schema_dsl.nodes import Model, Relation, Rewrite, Span


def check_duplicates(report: Report, model: Model) -> None:
    """Report everything that is there twice or more, each time but the first."""
    types: dict[str, Span | None] = {}
    for type_def in model.types:
        name, owner = type_def.name, Owner.of(type_def)
        if name.text in types:
            report.add("duplicated-error", f"type `{name.text}` is defined twice", name.text, types[name.text], owner)
        types.setdefault(name.text, name.span)
        for relation in type_def.relations:
            _check_restrictions(report, relation, Owner.of(type_def, relation))
            _check_operands(report, relation, Owner.of(type_def, relation))


def _check_restrictions(report: Report, relation: Relation, owner: Owner) -> None:
    texts = ((str(restriction), restriction.span) for restriction in relation.restrictions)
    for text, span in _repeated(texts):
        message = f"restriction `{text}` stands twice in relation `{relation.name.text}`"
        report.add("duplicated-error", message, text, span, owner)


def _check_operands(report: Report, relation: Relation, owner: Owner) -> None:
    level: list[Rewrite] = [relation.rewrite]
    while level:
        for node in level:
            for text, span in _repeated(_named(children(node))):
                what = "is excluded from itself" if isinstance(node, Exclusion) else "is an operand twice"
                message = f"`{text}` {what} in relation `{relation.name.text}`"
                report.add("duplicated-error", message, text, span, owner)
        level = [child for node in level for child in children(node)]


def _named(operands: Iterable[Rewrite]) -> Iterator[tuple[str, Span | None]]:
    for operand in operands:
        if isinstance(operand, Computed):
            yield operand.relation.text, operand.span
        elif isinstance(operand, TupleToUserset):
            yield f"{operand.computed.text} from {operand.tupleset.text}", operand.span


def _repeated(items: Iterable[tuple[str, Span | None]]) -> Iterator[tuple[str, Span | None]]:
    """Yield each text that was seen before, with the place where it was first."""
    first: dict[str, Span | None] = {}
    for text, span in items:
        if text in first:
            yield text, first[text]
        else:
            first[text] = span
