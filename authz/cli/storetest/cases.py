"""What a store test file says, as values. Made by `parse`, run by `run`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from authz.cli.document import Part
    from authz.cli.sources import Source
    from authz.tuples import JsonValue, RelationshipTuple, UserKind


@dataclass(frozen=True, slots=True)
class CheckCase:
    """Has the user the relation on the object, as expected?"""

    line: int
    user: str
    relation: str
    object: str
    context: Mapping[str, JsonValue]
    expected: bool

    def __str__(self) -> str:
        return f"check {self.user} {self.relation} {self.object}"


@dataclass(frozen=True, slots=True)
class ListObjectsCase:
    """Is this the set of objects?"""

    line: int
    user: str
    relation: str
    type: str
    context: Mapping[str, JsonValue]
    expected: frozenset[str]

    def __str__(self) -> str:
        return f"list_objects {self.user} {self.relation} {self.type}"


@dataclass(frozen=True, slots=True)
class ListUsersCase:
    """Is this the set of users?"""

    line: int
    object: str
    relation: str
    kinds: tuple[UserKind, ...]
    context: Mapping[str, JsonValue]
    expected: frozenset[str]

    def __str__(self) -> str:
        return f"list_users {self.object} {self.relation} {', '.join(map(str, self.kinds))}"


Case = CheckCase | ListObjectsCase | ListUsersCase


@dataclass(frozen=True, slots=True)
class PlacedTuple:
    """A tuple, and where to complain about it."""

    part: Part
    tuple: RelationshipTuple


@dataclass(frozen=True, slots=True)
class Test:
    """Cases that share tuples of their own."""

    name: str
    tuples: tuple[PlacedTuple, ...]
    cases: tuple[Case, ...]


@dataclass(frozen=True, slots=True)
class StoreFile:
    """A whole file."""

    name: str
    model: Source
    tuples: tuple[PlacedTuple, ...]
    tests: tuple[Test, ...]
