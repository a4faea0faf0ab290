"""What can be wrong with a model source: one error value, and the exception that carries a list of them.

Made by every pass of `schema_dsl`; read by whoever presents errors to a person.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, slots=True)
class Range:
    """A half-open pair of zero-based numbers: lines or columns of one place."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class DslError:
    """One thing wrong with a model.

    `line` and `column` are zero based and None when the model came without text (JSON). `line.end` is the last line
    itself, `column.end` the first column after the text. `metadata` holds what is known: `symbol` (the offending
    text), `errorType` (stable kind of a semantic error), and, where they apply, `relation`, `typeName`,
    `conditionName`, `module`, `file`.
    """

    msg: str
    line: Range | None = None
    column: Range | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    file: str | None = None

    def in_file(self, file: str) -> DslError:
        """Return the same error, said of the named file."""
        return replace(self, file=file)

    def __str__(self) -> str:
        place = f"{self.file}:" if self.file else ""
        if self.line is not None and self.column is not None:
            place += f"{self.line.start + 1}:{self.column.start + 1}:"
        return f"{place} {self.msg}" if place else self.msg


class DslException(ValueError):
    """Base of the exceptions of this library; `errors` is never empty."""

    def __init__(self, errors: Iterable[DslError]) -> None:
        self.errors: list[DslError] = list(errors)
        super().__init__("; ".join(str(error) for error in self.errors))


class DslSyntaxError(DslException):
    """The text is not a model in the modelling language (or fga.mod, or a set of modules that can be combined)."""


class UnprintableModelError(DslSyntaxError):
    """The JSON model is malformed, or means something that the modelling language cannot write."""
