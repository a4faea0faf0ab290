"""Declarations that the grammar allows but the language does not: a name twice, `extend` in a model, too deep nesting.

Called by `parser` with the tree of every text; these count as syntax errors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schema_dsl.errors import DslError
from schema_dsl.nodes import depth

if TYPE_CHECKING:
    from schema_dsl.nodes import Condition, Model, Name, TypeDef

# Operators nested in each other; readers of the protobuf form of a model stop at about 48 such levels.
MAX_NESTING = 40


def declaration_errors(model: Model) -> list[DslError]:
    """Return the errors in the order of the text."""
    errors: list[DslError] = []
    extended: set[str] = set()
    for type_def in model.types:
        name = type_def.name.text
        if type_def.is_extension and model.module is None:
            errors.append(_error(type_def.name, "`extend` is for modules only, this file is a model"))
        elif type_def.is_extension and name in extended:
            errors.append(_error(type_def.name, f"type `{name}` is extended twice in this file"))
        if type_def.is_extension:
            extended.add(name)
        errors.extend(_relation_errors(type_def))
    known: set[str] = set()
    for condition in model.conditions:
        if condition.name.text in known:
            errors.append(_error(condition.name, f"condition `{condition.name.text}` is defined twice"))
        known.add(condition.name.text)
        errors.extend(_parameter_errors(condition))
    return errors


def _relation_errors(type_def: TypeDef) -> list[DslError]:
    errors: list[DslError] = []
    known: set[str] = set()
    for relation in type_def.relations:
        name = relation.name.text
        if name in known:
            errors.append(_error(relation.name, f"relation `{name}` is defined twice on type `{type_def.name.text}`"))
        known.add(name)
        if depth(relation.rewrite) > MAX_NESTING:
            errors.append(
                _error(relation.name, f"relation `{name}` nests operators more than {MAX_NESTING} levels deep")
            )
    return errors


def _parameter_errors(condition: Condition) -> list[DslError]:
    errors: list[DslError] = []
    known: set[str] = set()
    for parameter in condition.parameters:
        name = parameter.name.text
        if name in known:
            errors.append(
                _error(parameter.name, f"parameter `{name}` is defined twice in condition `{condition.name.text}`")
            )
        known.add(name)
    return errors


def _error(name: Name, message: str) -> DslError:
    span = name.span
    metadata = {"symbol": name.text}
    return DslError(message, span.lines if span else None, span.columns if span else None, metadata)
