"""Texts with places for what is known of a request: `document:{id}`. Used by `rules`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

_PARTS = re.compile(r"([^{}]*)(?:\{([^{}]+)\}|$)")

Lookup = Callable[[str], str]
"""The value of a place by its name."""


class Template(NamedTuple):
    """Literal texts, with the places between them: one more text than places."""

    texts: tuple[str, ...]
    places: tuple[str, ...]

    def fill(self, lookup: Lookup) -> str:
        """The text with values in its places."""
        if not self.places:
            return self.texts[0]
        values = [*map(lookup, self.places), ""]
        return "".join(text + value for text, value in zip(self.texts, values, strict=True))


def parse_template(text: str) -> Template:
    """Read a template.

    Raises:
        ValueError: a brace without its other one, or nothing between them.

    """
    texts: list[str] = []
    places: list[str] = []
    position = 0
    while True:
        found = _PARTS.match(text, position)
        if found is None:
            raise ValueError(f"`{text}` has a brace that does not belong to a place `{{name}}`")
        texts.append(found[1])
        position = found.end()
        if found[2] is None:
            if position != len(text):
                raise ValueError(f"`{text}` has a brace that does not belong to a place `{{name}}`")
            return Template(tuple(texts), tuple(places))
        places.append(found[2])
        if position == len(text):
            return Template((*texts, ""), tuple(places))


def parse_name(text: str) -> Template:
    """Read the template of an object or user: `type:`, then an id; the type is no place, so that nobody can choose it.

    Raises:
        ValueError: it is none, or its text could not be part of a name.

    """
    found = parse_template(text)
    type_, colon, rest = found.texts[0].partition(":")
    if not type_ or not colon or any(":" in each for each in (rest, *found.texts[1:])):
        raise ValueError(f"`{text}` is not of the form `type:id`, with all places behind the colon")
    if not all(each.isprintable() and " " not in each for each in found.texts):
        raise ValueError(f"`{text}` has a blank or a character that cannot be printed")
    return found
