"""The one reading of a request's path, and templates that match it. Used by `rules`.

A gateway, this service and whoever the request is forwarded to must read a path alike, or what was checked is not what
is done. So a path has to be plain: what some would take for something else (RFC 3986, sections 3.3 and 6.2.2) has no
reading here at all.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from unicodedata import is_normalized
from urllib.parse import unquote_to_bytes

MAX_PATH = 2048
MAX_SEGMENTS = 64

# Characters of a segment but `;`, which begins parameters for some, and `!`, which Envoy puts in place of bytes that
# are not UTF-8 before it asks.
_PCHAR = r"[A-Za-z0-9\-._~$&'()*+,=:@]"
_PATH = re.compile(rf"(?:/(?:{_PCHAR}|%[0-9A-Fa-f]{{2}})*)+")
_LITERAL = re.compile(rf"{_PCHAR}+")
_VARIABLE = re.compile(r"\{([a-z][a-z0-9_]*)(=\*\*)?\}")
# What must not be written in hexadecimal: characters that need not be, as their two spellings are one path for some and
# two for others; and those that would be something else if this were undone once more or once less.
_UNRESERVED = string.ascii_letters + string.digits + "-._~"
_MISLEADING = "/\\%;?#\x7f" + "".join(map(chr, range(0x20)))
_HIDDEN = re.compile("|".join(f"%{ord(each):02x}" for each in _UNRESERVED + _MISLEADING), re.IGNORECASE)
_DOTS = frozenset({".", ".."})


class Segments(NamedTuple):
    """The parts of a path between its slashes, as they are written, and what they stand for."""

    written: tuple[str, ...]
    values: tuple[str, ...]


def split_target(target: str) -> Segments | None:
    """The segments of a request target in origin form, whose query is left out; None when it is not plain."""
    path, _, query = target.partition("?")
    if len(path) > MAX_PATH or "#" in query or not _PATH.fullmatch(path) or _HIDDEN.search(path):
        return None
    written = tuple(path[1:].split("/"))
    # An empty segment at the end is a path of its own; others are left out by some.
    if len(written) > MAX_SEGMENTS or "" in written[:-1] or not _DOTS.isdisjoint(written):
        return None
    if "%" not in path:
        return Segments(written, written)
    try:
        values = tuple(unquote_to_bytes(each).decode() for each in written)
    except UnicodeDecodeError:  # overlong forms and surrogates too
        return None
    if not all(each.isprintable() and is_normalized("NFC", each) for each in values):
        return None
    return Segments(written, values)


class PathTemplate(NamedTuple):
    """A path with variables; see `parse_path`."""

    parts: tuple[tuple[str, bool], ...]
    """Literals and names of variables, with whether it is one."""
    rest: str = ""
    """The name of the variable for all that follows, if there is one."""

    @property
    def names(self) -> frozenset[str]:
        """Its variables."""
        named = {text for text, is_variable in self.parts if is_variable}
        return frozenset(named | {self.rest} if self.rest else named)

    @property
    def shape(self) -> tuple[object, ...]:
        """What paths it matches, whatever its variables are called."""
        return tuple(None if is_variable else text for text, is_variable in self.parts), bool(self.rest)

    @property
    def start(self) -> str | None:
        """The first segment, if there is but one that matches."""
        text, is_variable = self.parts[0] if self.parts else ("", True)
        return None if is_variable else text

    def match(self, segments: Segments) -> Mapping[str, str] | None:
        """The values of the variables, if the path is one of these; no value is empty."""
        written, values = segments
        count = len(self.parts)
        if len(written) <= count if self.rest else len(written) != count:
            return None
        found: dict[str, str] = {}
        for (text, is_variable), raw, value in zip(self.parts, written, values, strict=False):
            if is_variable:
                if not value:
                    return None
                found[text] = value
            elif text != raw:
                return None
        if self.rest:
            if not values[-1]:
                return None
            found[self.rest] = "/".join(values[count:])
        return found


def parse_path(text: str) -> PathTemplate:
    """Read `/literal/{variable}/{rest=**}`; `/` at the end is part of the path.

    Raises:
        ValueError: it is none.

    """
    if not text.startswith("/"):
        raise ValueError(f"the path `{text}` does not begin with `/`")
    return parse_segments(text[1:].split("/"), text)


def parse_segments(written: Sequence[str], text: str) -> PathTemplate:
    """Read the parts of a template that are named `text` together; raises ValueError when one is none."""
    parts: list[tuple[str, bool]] = []
    rest = ""
    for place, part in enumerate(written):
        is_last = place == len(written) - 1
        variable = _VARIABLE.fullmatch(part)
        if variable is not None and variable[2]:
            if not is_last:
                raise ValueError(f"`{part}` in `{text}` must stand at the end")
            rest = variable[1]
        elif variable is not None:
            parts.append((variable[1], True))
        elif (part or is_last) and (not part or _LITERAL.fullmatch(part)) and part not in _DOTS:
            parts.append((part, False))
        else:
            raise ValueError(f"`{part}` in `{text}` is neither plain text nor a variable `{{name}}`")
    named = [name for name, is_variable in parts if is_variable] + [rest] * bool(rest)
    if len(set(named)) != len(named):
        raise ValueError(f"`{text}` names a variable twice")
    return PathTemplate(tuple(parts), rest)
