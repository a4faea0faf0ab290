"""The abstract syntax tree of a model: frozen values with the place each came from.

Built by `parse` (from text) and `read_json` (from JSON); consumed by `write_json`, `write_dsl`, the rules and
`modules`.
"""

from __future__ import annotations

from dataclasses import dataclass

from schema_dsl.errors import Range


@dataclass(frozen=True, slots=True)
class Span:
    """Zero-based place of a piece of text on one line or more; `end` columns are exclusive."""

    line: int
    column: int
    end_line: int
    end_column: int

    @property
    def lines(self) -> Range:
        """First and last line."""
        return Range(self.line, self.end_line)

    @property
    def columns(self) -> Range:
        """First column on the first line, and the column after the text on the last line."""
        return Range(self.column, self.end_column)


@dataclass(frozen=True, slots=True)
class Name:
    """A word of the model and its place; models read from JSON have no places."""

    text: str
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """The module and file that declared a type, relation or condition of a modular model."""

    module: str | None = None
    file: str | None = None

    def __bool__(self) -> bool:
        return bool(self.module or self.file)


@dataclass(frozen=True, slots=True)
class Restriction:
    """One direct type restriction: `user`, `user:*` or `group#member`, each perhaps `with` a condition."""

    type: Name
    relation: Name | None = None
    is_wildcard: bool = False
    condition: Name | None = None
    span: Span | None = None

    @property
    def base(self) -> str:
        """The restriction without its condition."""
        if self.is_wildcard:
            return f"{self.type.text}:*"
        return f"{self.type.text}#{self.relation.text}" if self.relation else self.type.text

    def __str__(self) -> str:
        return f"{self.base} with {self.condition.text}" if self.condition else self.base


@dataclass(frozen=True, slots=True)
class Direct:
    """The users named by tuples, as far as the direct type restrictions allow."""

    restrictions: tuple[Restriction, ...] = ()
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Computed:
    """All users of another relation of the same object."""

    relation: Name
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class TupleToUserset:
    """`computed from tupleset`: the users of `computed` on every object that `tupleset` points to."""

    computed: Name
    tupleset: Name
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Union:
    """Users of any child."""

    children: tuple[Rewrite, ...]


@dataclass(frozen=True, slots=True)
class Intersection:
    """Users of every child."""

    children: tuple[Rewrite, ...]


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Users of `base` who are not users of `subtract`."""

    base: Rewrite
    subtract: Rewrite


Leaf = Direct | Computed | TupleToUserset
Rewrite = Leaf | Union | Intersection | Exclusion


@dataclass(frozen=True, slots=True)
class Relation:
    """One `define`; `origin` is set when another module added it to the type.

    `restrictions` are the direct type restrictions of the relation, wherever in the rewrite they are used.
    """

    name: Name
    rewrite: Rewrite
    restrictions: tuple[Restriction, ...] = ()
    origin: Origin = Origin()


@dataclass(frozen=True, slots=True)
class TypeDef:
    """One `type` or `extend type` block."""

    name: Name
    relations: tuple[Relation, ...] = ()
    is_extension: bool = False
    origin: Origin = Origin()


@dataclass(frozen=True, slots=True)
class Parameter:
    """One typed condition parameter; `type` and `generic` are lower-case words such as `list` and `string`."""

    name: Name
    type: str
    generic: str | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition; `key` differs from `name` only in malformed JSON, where the map key is not the nested name."""

    name: Name
    parameters: tuple[Parameter, ...]
    expression: str
    origin: Origin = Origin()
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """A whole model source: a model (`schema` is set) or one module of a modular model (`module` is set)."""

    schema: Name | None
    module: Name | None = None
    types: tuple[TypeDef, ...] = ()
    conditions: tuple[Condition, ...] = ()


def spanning(first: Span, last: Span) -> Span:
    """Return the span from the start of one to the end of another."""
    return Span(first.line, first.column, last.end_line, last.end_column)


def depth(rewrite: Rewrite) -> int:
    """Return how many operators are nested in each other at most."""
    count, level = 0, [rewrite]
    while level := [child for node in level for child in children(node)]:
        count += 1
    return count


def children(rewrite: Rewrite) -> tuple[Rewrite, ...]:
    """Return the operands of an operator; nothing for a leaf."""
    if isinstance(rewrite, Union | Intersection):
        return rewrite.children
    return (rewrite.base, rewrite.subtract) if isinstance(rewrite, Exclusion) else ()


def leaves(rewrite: Rewrite) -> list[Leaf]:
    """Return the leaves of a rewrite level by level, outer ones first."""
    found: list[Leaf] = []
    level: list[Rewrite] = [rewrite]
    while level:
        found.extend(node for node in level if isinstance(node, Leaf))
        level = [child for node in level for child in children(node)]
    return found


def restrictions_of(rewrite: Rewrite) -> tuple[Restriction, ...]:
    """Return the direct type restrictions that a rewrite uses."""
    return next((leaf.restrictions for leaf in leaves(rewrite) if isinstance(leaf, Direct)), ())
