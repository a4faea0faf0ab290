"""Collecting the errors of a model, each with its kind, symbol, place and owner.

Used by all rules of this package.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from schema_dsl.errors import DslError
from schema_dsl.nodes import Origin

if TYPE_CHECKING:
    from schema_dsl.nodes import Relation, Span, TypeDef


@dataclass(frozen=True, slots=True)
class Owner:
    """The declaration that an error is about: what goes into the metadata, and the file to look in."""

    origin: Origin = field(default_factory=Origin)
    type_name: str | None = None
    relation: str | None = None
    condition: str | None = None

    @classmethod
    def of(cls, type_def: TypeDef, relation: Relation | None = None) -> Owner:
        """Return the owner for a relation of a type, or for the type itself."""
        if relation is None:
            return cls(type_def.origin, type_def.name.text)
        return cls(relation.origin or type_def.origin, type_def.name.text, relation.name.text)


class Report:
    """The errors found so far, in order."""

    def __init__(self) -> None:
        self.errors: list[DslError] = []

    def add(self, kind: str, message: str, symbol: str, span: Span | None, owner: Owner) -> None:
        """Add an error. `kind` is its stable errorType, `symbol` the text it is about."""
        known = {
            "symbol": symbol,
            "errorType": kind,
            "relation": owner.relation,
            "typeName": owner.type_name,
            "conditionName": owner.condition,
            "module": owner.origin.module,
            "file": owner.origin.file,
        }
        metadata = {key: value for key, value in known.items() if value is not None}
        lines, columns = (span.lines, span.columns) if span else (None, None)
        self.errors.append(DslError(message, lines, columns, metadata, owner.origin.file))
