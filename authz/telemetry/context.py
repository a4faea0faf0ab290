"""Which trace a call belongs to, as its caller says: W3C Trace Context. Read by `traces` for every call.

What is malformed is passed over, never refused (https://www.w3.org/TR/trace-context/, sections 3.2 and 3.3).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

TRACEPARENT, TRACESTATE = "traceparent", "tracestate"
MAX_PARENT = 256
MAX_STATE = 512
"""Characters of a `tracestate`; the standard asks to pass on at least as many."""

_PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16
_SAMPLED = 1

Metadata = Iterable[tuple[str, str | bytes]]


class Parent(NamedTuple):
    """The span of the caller in which this call was made; ids are lower case hex."""

    trace_id: str
    span_id: str
    is_sampled: bool


def parent_of(metadata: Metadata) -> Parent | None:
    """The caller's span; None when there is none or it is malformed or given twice."""
    found: str | bytes | None = None
    for key, value in metadata:
        if key == TRACEPARENT:
            if found is not None:
                return None
            found = value
    return None if found is None else _parse(found)


def state_of(metadata: Metadata) -> str:
    """What tracing systems pass along; empty when it is too long."""
    given = ",".join(value for key, value in metadata if key == TRACESTATE and isinstance(value, str))
    return given if len(given) <= MAX_STATE else ""


def _parse(text: str | bytes) -> Parent | None:
    if not isinstance(text, str) or len(text) > MAX_PARENT:
        return None
    match = _PARENT.fullmatch(text)
    if match is None:
        return None
    version, trace_id, span_id, flags, more = match.groups()
    if version == "ff" or (more is not None and version == "00") or trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return None
    return Parent(trace_id, span_id, bool(int(flags, 16) & _SAMPLED))
