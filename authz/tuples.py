"""Relationship tuples as plain values, and how their parts are written. Used by every package below the edge."""

from __future__ import annotations

from typing import NamedTuple

JsonValue = None | bool | int | float | str | list["JsonValue"] | dict[str, "JsonValue"]
"""A value of `google.protobuf.Struct`; numbers are finite."""


class RelationshipCondition(NamedTuple):
    """A condition's name with the context stored beside it."""

    name: str
    context: dict[str, JsonValue]


class TupleKey(NamedTuple):
    """What identifies a tuple within a store."""

    object: str
    relation: str
    user: str

    def __str__(self) -> str:
        """`object#relation@user`, the field's usual notation."""
        return f"{self.object}#{self.relation}@{self.user}"


class RelationshipTuple(NamedTuple):
    """A tuple with its condition, if any."""

    object: str
    relation: str
    user: str
    condition: RelationshipCondition | None = None

    @property
    def key(self) -> TupleKey:
        """The part that identifies the tuple."""
        return TupleKey(self.object, self.relation, self.user)


class UserKind(NamedTuple):
    """What stands on the right of a tuple: `user`, `user:*` (wildcard) or `group#member` (userset), without the id."""

    type: str
    relation: str = ""
    wildcard: bool = False

    def __str__(self) -> str:
        if self.wildcard:
            return f"{self.type}:*"
        return f"{self.type}#{self.relation}" if self.relation else self.type


def object_type(name: str) -> str:
    """The type of `type:id`; the empty string when there is no colon."""
    head, colon, _ = name.partition(":")
    return head if colon else ""


def split_object(name: str) -> tuple[str, str]:
    """`type:id` as its two parts; the id may contain no further colon in valid input, and is kept whole."""
    head, _, tail = name.partition(":")
    return head, tail


def split_userset(user: str) -> tuple[str, str]:
    """`type:id#relation` as (`type:id`, `relation`); the relation is empty for objects and wildcards."""
    head, _, tail = user.partition("#")
    return head, tail


def user_kind(user: str) -> UserKind:
    """The kind of a well-formed user."""
    name, relation = split_userset(user)
    head, tail = split_object(name)
    return UserKind(head, relation, wildcard=tail == "*" and not relation)
