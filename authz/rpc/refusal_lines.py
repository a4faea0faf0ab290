"""Keep floods of refusals out of the log, which nobody should be able to fill. Used by the step `observe`.

The trail has every refusal, or sums by who was refused.
"""

from __future__ import annotations

import asyncio

import structlog

WINDOW = 1.0
"""Seconds in which lines are counted together."""
SHOWN = 20
"""How many refusals have a line of their own in that time."""
FREE = frozenset({"UNAUTHENTICATED", "RESOURCE_EXHAUSTED", "UNAVAILABLE"})
"""Codes of refusals that cost the caller nothing."""

_log = structlog.get_logger(__name__)


class RefusalLines:
    """Counts the refusals of all methods of one process. Used on the event loop only."""

    def __init__(self) -> None:
        self._count = 0

    def has_line(self) -> bool:
        """Whether one more refusal has a line of its own; how many had none is told when the window ends."""
        if not self._count:
            asyncio.get_running_loop().call_later(WINDOW, self._end)
        self._count += 1
        return self._count <= SHOWN

    def _end(self) -> None:
        hidden, self._count = self._count - SHOWN, 0
        if hidden > 0:
            _log.warning("rpc_refusals_without_line", count=hidden, seconds=WINDOW)
