"""Rewrites as plain values: how a relation is defined.

Built by `model.compile` from the JSON form; read by plans, expand and validation.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from authz.tuples import UserKind


class Restriction(NamedTuple):
    """One entry of a direct type restriction: a kind of user, with a condition or without (empty)."""

    user: UserKind
    condition: str = ""

    def __str__(self) -> str:
        return f"{self.user} with {self.condition}" if self.condition else str(self.user)


class Direct(NamedTuple):
    """Users that tuples name directly."""

    restrictions: tuple[Restriction, ...]


class Computed(NamedTuple):
    """All users of another relation of the same object."""

    relation: str


class TupleToUserset(NamedTuple):
    """All users that have `computed` on an object that `tupleset` names: `computed from tupleset`."""

    tupleset: str
    computed: str


class Union(NamedTuple):
    """Users of any operand."""

    operands: tuple[Rewrite, ...]


class Intersection(NamedTuple):
    """Users of every operand."""

    operands: tuple[Rewrite, ...]


class Exclusion(NamedTuple):
    """Users of the base that are not users of `subtract`."""

    base: Rewrite
    subtract: Rewrite


Rewrite = Direct | Computed | TupleToUserset | Union | Intersection | Exclusion


def operands(rewrite: Rewrite) -> tuple[Rewrite, ...]:
    """The operands of an operator; none for a leaf."""
    match rewrite:
        case Union(inner) | Intersection(inner):
            return inner
        case Exclusion(base, subtract):
            return (base, subtract)
        case _:
            return ()


def parts(rewrite: Rewrite) -> Iterator[Rewrite]:
    """A rewrite and everything inside it, from left to right, without recursion."""
    pending = [rewrite]
    while pending:
        part = pending.pop()
        yield part
        pending.extend(reversed(operands(part)))


def leaves(rewrite: Rewrite) -> Iterator[Direct | Computed | TupleToUserset]:
    """The leaves of a rewrite from left to right."""
    for part in parts(rewrite):
        if isinstance(part, Direct | Computed | TupleToUserset):
            yield part
