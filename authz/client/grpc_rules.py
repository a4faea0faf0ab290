"""What each method of a gRPC server needs, and where its object stands in the request. Used by `interceptors`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from authz.client.guard import Answer, Refusal, Requirement
from authz.client.template import Misconfigured, Template

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message

    from authz.client.consistency import Consistency


class Rule(NamedTuple):
    """What a method needs: a relation, and a template of the object that its request is about."""

    relation: str
    object: str
    consistency: Consistency | None = None


class Rules:
    """The rules of a server, read once. Used by both interceptors."""

    def __init__(self, rules: Mapping[str, Rule], public: frozenset[str]) -> None:
        self._needs = {
            method: Requirement(rule.relation, Template(rule.object), rule.consistency)
            for method, rule in rules.items()
        }
        self._public = public
        both = self._needs.keys() & public
        if both:
            raise ValueError(f"`{sorted(both)[0]}` is public, and has a rule")

    def is_public(self, method: str) -> bool:
        """Whether everybody may call the method."""
        return method in self._public

    def need(self, method: str) -> Requirement:
        """What a method needs.

        Raises:
            Refusal: it has no rule.

        """
        found = self._needs.get(method)
        if found is None:
            raise Refusal(Answer.DENIED)
        return found


def field_of(message: Message | None, path: str) -> object:
    """A field of a message by its path; None when it is not set, or there is no message.

    Raises:
        Misconfigured: there is no such field, or it is not one text or whole number.

    """
    if message is None:
        return None
    *parents, last = path.split(".")
    for parent in parents:
        if _field(message, parent, path).message_type is None:
            raise Misconfigured(f"`{parent}` of `{path}` is not a message")
        if not message.HasField(parent):
            return None
        message = getattr(message, parent)
    field = _field(message, last, path)
    if field.enum_type is not None or field.message_type is not None:
        raise Misconfigured(f"`{path}` is neither text nor a whole number")
    # A number that is 0 was not set, as far as anybody can tell.
    return getattr(message, last) or None


def _field(message: Message, name: str, path: str) -> Any:
    field = message.DESCRIPTOR.fields_by_name.get(name)
    if field is None or field.is_repeated:
        raise Misconfigured(f"`{path}` is no single field of `{message.DESCRIPTOR.full_name}`")
    return field
