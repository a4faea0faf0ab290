"""Path templates of `google.api.http`: literals and single-segment variables. Used by `routes`.

The syntax is that of google/api/http.proto, of which the interface uses `/literal/{field}` alone; whatever else it
allows is refused at the start, so that no route is ever read differently from how it was meant.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from authz.errors import Bug

_LITERAL = re.compile(r"[A-Za-z0-9._~-]+")
_VARIABLE = re.compile(r"\{([a-z][a-z0-9_]*)\}")


class Segment(NamedTuple):
    """A part of a path between slashes: a literal text, or the name of a field whose value stands there."""

    text: str
    is_variable: bool


def parse_template(template: str) -> tuple[Segment, ...]:
    """Read a template.

    Raises:
        Bug: a template that this service does not understand.

    """
    if not template.startswith("/"):
        raise Bug(f"the path template `{template}` does not begin with a slash")
    return tuple(_segment(template, part) for part in template[1:].split("/"))


def _segment(template: str, part: str) -> Segment:
    variable = _VARIABLE.fullmatch(part)
    if variable is not None:
        return Segment(variable[1], is_variable=True)
    if _LITERAL.fullmatch(part):
        return Segment(part, is_variable=False)
    raise Bug(f"`{part}` in the path template `{template}` is neither a plain name nor a field")
