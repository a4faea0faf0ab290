"""What the modelling language has no words for: names with other characters, and conditions that it cannot hold.

Called by the package's `json_to_dsl` before it prints. Models come from an API that allows more names than the
language; no text is better than one that says something else.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from schema_dsl.errors import DslError
from schema_dsl.layout import fold
from schema_dsl.lexer import CONTAINER_TYPES, SCALAR_TYPES, lex
from schema_dsl.nodes import Computed, TupleToUserset, leaves

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schema_dsl.nodes import Condition, Model, Relation

_WORDS = frozenset({"IDENTIFIER", "MODEL", "SCHEMA", "TYPE", "RELATION", "MODULE", "EXTEND"})
_NAMES = _WORDS | {"EXTENDED_IDENTIFIER"}
_PARAMETER_TYPES = frozenset({*SCALAR_TYPES, *CONTAINER_TYPES})
_SCHEMA_VERSION = re.compile(r"\d+\.\d+")


def unprintable(model: Model) -> list[DslError]:
    """Return what the language cannot say of a model."""
    errors = []
    if model.schema is not None and not _SCHEMA_VERSION.fullmatch(model.schema.text):
        errors.append(_error("schema version", model.schema.text))
    for type_def in model.types:
        if not _is_word(type_def.name.text, _NAMES):
            errors.append(_error("type", type_def.name.text))
        for relation in type_def.relations:
            errors += [_error("name", name) for name in _names_in(relation) if not _is_word(name, _NAMES)]
            errors += [_error("condition", name) for name in _conditions_of(relation) if not _is_word(name)]
    for condition in model.conditions:
        errors += _condition_errors(condition)
    return errors


def _names_in(relation: Relation) -> Iterator[str]:
    yield relation.name.text
    for leaf in leaves(relation.rewrite):
        if isinstance(leaf, Computed):
            yield leaf.relation.text
        elif isinstance(leaf, TupleToUserset):
            yield from (leaf.computed.text, leaf.tupleset.text)
    for restriction in relation.restrictions:
        yield restriction.type.text
        if restriction.relation is not None:
            yield restriction.relation.text


def _conditions_of(relation: Relation) -> Iterator[str]:
    yield from (
        restriction.condition.text for restriction in relation.restrictions if restriction.condition is not None
    )


def _condition_errors(condition: Condition) -> list[DslError]:
    name = condition.name.text
    errors = [] if _is_word(name) else [_error("condition", name)]
    if not _is_body(condition.expression):
        errors.append(_error(f"expression of condition `{name}`", condition.expression))
    for parameter in condition.parameters:
        if not _is_word(parameter.name.text) or parameter.name.text in _PARAMETER_TYPES:
            errors.append(_error("parameter", parameter.name.text))
        errors += [_error("parameter type", one) for one in (parameter.type, parameter.generic) if one == "any"]
    return errors


@lru_cache(maxsize=4096)
def _is_word(text: str, kinds: frozenset[str] = frozenset({"IDENTIFIER"})) -> bool:
    lexed = lex(text)
    return (
        not lexed.errors
        and len(lexed.tokens) == 2
        and lexed.tokens[0].kind in kinds
        and lexed.tokens[0].end == len(text)
    )


def _is_body(expression: str) -> bool:
    """Return whether an expression stays one expression between the braces of a condition."""
    lexed = lex(f"{{\n{expression}\n}}")
    return not lexed.errors and [token.kind for token in fold(lexed.tokens)] == ["LBRACE", "EXPRESSION", "RBRACE"]


def _error(what: str, text: str) -> DslError:
    shown = text if len(text) <= 60 else f"{text[:57]}..."
    return DslError(f"{what} `{shown}` has no form in the language", metadata={"symbol": text})
