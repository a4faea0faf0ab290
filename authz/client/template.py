"""Object names out of the parts of a request: `document:{id}`. Used by every integration to say what is asked about.

INVARIANT: whatever a caller sends, the object is of the template's type, and two requests name the same object only if
all their values are the same. Values that would break this are refused, not escaped.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_OBJECT_LENGTH = 256
MAX_USER_BYTES = 512
_TYPE = re.compile(r"[^:#@*{}\s\x00-\x1f\x7f]{1,254}")
_SEPARATING = frozenset("#:*")
_PART = re.compile(r"\{([A-Za-z_][A-Za-z0-9_.-]*)\}")


class Unfit(Exception):
    """A value of the request cannot be part of an object: nothing that exists is meant by it."""


class Misconfigured(Exception):
    """The program asks for something that the request never has, or is not set up: its author must mend it."""


class Template:
    """`type:` and an id of text and `{names}`.

    Names must have text between them, and no value may have a character of that text: `{a}-{b}` would otherwise be the
    same for different values.

    Raises:
        ValueError: the text is not of that form.

    """

    def __init__(self, text: str) -> None:
        type_, colon, id_ = text.partition(":")
        pieces = _PART.split(id_)
        self._literals, self.names = pieces[::2], tuple(pieces[1::2])
        if not colon or not id_ or not _TYPE.fullmatch(type_) or not type_.isprintable():
            raise ValueError(f"`{text}` is not of the form `type:{{name}}`")
        if any(not _is_plain(literal) or "{" in literal or "}" in literal for literal in self._literals):
            raise ValueError(f"`{text}` has an id with a character that cannot be part of one")
        between = self._literals[1:-1]
        if not all(between) or len(set(self.names)) < len(self.names):
            raise ValueError(f"`{text}` names a part twice, or two parts without text between them")
        self._refused = _SEPARATING.union(*between)
        self.text = text
        self._type = type_

    def __repr__(self) -> str:
        return f"Template({self.text!r})"

    def fill(self, value_of: Callable[[str], object]) -> str:
        """The object, with the values that `value_of` finds by their names.

        Raises:
            Unfit: a value is missing, empty, or has a character that it must not have; or the object is too long.
            Misconfigured: a value is of a kind that has no one text: only text, whole numbers and UUIDs have.

        """
        parts = [self._literals[0]]
        for name, literal in zip(self.names, self._literals[1:], strict=True):
            parts += [self._checked(name, value_of(name)), literal]
        made = f"{self._type}:{''.join(parts)}"
        if len(made) > MAX_OBJECT_LENGTH:
            raise Unfit("the object is too long")
        return made

    def _checked(self, name: str, value: object) -> str:
        if isinstance(value, bool) or not isinstance(value, str | int | UUID):
            if value is None:
                raise Unfit(f"`{name}` is missing")
            raise Misconfigured(f"`{name}` of `{self.text}` is a {type(value).__name__}: it has no one text")
        text = str(value)
        if not text or not _is_plain(text) or not self._refused.isdisjoint(text):
            raise Unfit(f"`{name}` is empty, or has a character that no id has")
        return text


def check_user(user: object) -> str:
    """The user that a program found in its claims, if it is one object: no wildcard, and no userset.

    Raises:
        Unfit: it is something else.

    """
    text = user if isinstance(user, str) else ""
    type_, _, id_ = text.partition(":")
    is_well_formed = _TYPE.fullmatch(type_) and type_.isprintable() and id_ and _is_plain(id_)
    if not is_well_formed or len(text.encode()) > MAX_USER_BYTES:
        raise Unfit("the subject is not of the form `type:id`")
    return text


def _is_plain(text: str) -> bool:
    """Whether no character separates the parts of names, or cannot be seen."""
    return _SEPARATING.isdisjoint(text) and text.isprintable() and not any(map(str.isspace, text))
