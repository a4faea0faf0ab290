"""Decide which calls have a span, and hand those to a writer. Asked by `watch` at the begin and end of each call.

A call that is not sampled costs a header, a random number and a comparison; nothing of OpenTelemetry is touched.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from authz.telemetry.context import Metadata, parent_of, state_of

if TYPE_CHECKING:
    from authz.call import Completed
    from authz.telemetry.context import Parent

_REFUSED_EARLY = frozenset({"UNAUTHENTICATED", "RESOURCE_EXHAUSTED"})
_LOW_BITS = 2**64


class Span(NamedTuple):
    """One call as traces see it while it runs."""

    trace_id: str
    """32 hex digits; empty when nobody traces."""
    parent: Parent | None = None
    state: str = ""
    is_sampled: bool = False


NO_SPAN = Span("")

Write = Callable[[Span, str, "Completed"], None]
"""Takes a span that ended, with its name."""


class Traces:
    """Spans of calls, sampled by the caller's word or else by ratio, as a function of the trace id alone."""

    def __init__(self, write: Write, ratio: float) -> None:
        self._write = write
        self._bound = int(ratio * _LOW_BITS)
        self._random = random.Random()  # noqa: S311 - unique, not secret
        self.spans = 0

    def begin(self, metadata: Metadata) -> Span:
        """The span of a call that begins."""
        parent = parent_of(metadata)
        if parent is None:
            number = self._random.getrandbits(128) or 1
            return Span(f"{number:032x}", is_sampled=number % _LOW_BITS < self._bound)
        if parent.is_sampled:
            return Span(parent.trace_id, parent, state_of(metadata), is_sampled=True)
        return Span(parent.trace_id, parent)

    def end(self, span: Span, name: str, completed: Completed) -> None:
        """Hand on the span of a call that has ended, if it is sampled."""
        if span.is_sampled and not self._is_imposed(span, completed):
            self.spans += 1
            self._write(span, name, completed)

    def _is_imposed(self, span: Span, completed: Completed) -> bool:
        # Who is refused at the door does not decide how much of our tracing it uses.
        return (
            completed.code in _REFUSED_EARLY and span.parent is not None and int(span.trace_id[16:], 16) >= self._bound
        )


def caller_trace(metadata: Metadata) -> Span:
    """The trace that a caller names, while we do not trace."""
    parent = parent_of(metadata)
    return NO_SPAN if parent is None else Span(parent.trace_id, parent)
