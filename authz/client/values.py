"""The plain values that go into the client and come out of it. Used by all of `authz.client` and by its callers."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from authz.client.errors import ClientError

JsonValue = None | bool | int | float | str | list["JsonValue"] | dict[str, "JsonValue"]
"""What a condition's parameter can be; numbers are finite."""

NO_CONTEXT: Mapping[str, JsonValue] = MappingProxyType({})


class Condition(NamedTuple):
    """The condition of a tuple, by name, with the parameter values that are stored beside it."""

    name: str
    context: Mapping[str, JsonValue] = NO_CONTEXT


class Tuple(NamedTuple):
    """A relationship tuple: the user has the relation to the object, if the condition holds."""

    user: str
    relation: str
    object: str
    condition: Condition | None = None


class Check(NamedTuple):
    """One question of a batch."""

    user: str
    relation: str
    object: str
    context: Mapping[str, JsonValue] = NO_CONTEXT
    contextual_tuples: tuple[Tuple, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to a check; true as a condition only if the service said yes.

    `model_id` is the model and `token` the consistency token of the revision that it was decided by. In a batch,
    `error` is why this question has no answer; it is not allowed then.
    """

    allowed: bool
    model_id: str = ""
    token: str = ""
    error: ClientError | None = None

    def __bool__(self) -> bool:
        return self.allowed is True and self.error is None


@dataclass(frozen=True, slots=True)
class Listing:
    """Names that the service found, in no order.

    `truncated` says why it stopped early: `deadline`, `max-results` or ``.
    """

    names: tuple[str, ...]
    truncated: str = ""
    model_id: str = ""
    token: str = ""

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing."""
        return not self.truncated


@dataclass(frozen=True, slots=True)
class Written:
    """A write that was applied: its consistency token, and the model that allowed it."""

    token: str
    model_id: str


class StoredTuple(NamedTuple):
    """A tuple with the time at which it was written."""

    tuple: Tuple
    time: datetime


class Change(NamedTuple):
    """One entry of the changelog. A deletion shows its tuple without the condition."""

    tuple: Tuple
    is_deletion: bool
    time: datetime


@dataclass(frozen=True, slots=True)
class Changes:
    """A page of the changelog, oldest first, and the continuation token behind it."""

    changes: tuple[Change, ...]
    continuation_token: str


@dataclass(frozen=True, slots=True)
class Store:
    """A store."""

    id: str
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Model:
    """An authorization model as JSON, in the form of the public OpenFGA interface."""

    id: str
    body: dict[str, JsonValue]
