"""When a process is to end: two events, set by signals or by whoever started it. Used by all that serve."""

from __future__ import annotations

import asyncio
import signal


class Stopping:
    """The first wish to end, which drains, and a second one, which ends running calls at once.

    SIGTERM and SIGINT are such wishes. SIGHUP drains too, or whoever closes a terminal, or asks for files to be read
    again, would lose records that wait to be written. It forces nothing, for a terminal that is closed may send it
    twice. A worker's own signals force nothing either: Ctrl-C reaches it and its supervisor, which says so as well.
    Made on the event loop.
    """

    def __init__(self, *, is_worker: bool = False) -> None:
        self.first = asyncio.Event()
        self.second = asyncio.Event()
        self._is_worker = is_worker
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._arrived)
        loop.add_signal_handler(signal.SIGHUP, self.drain)

    def drain(self) -> None:
        """Wish it once, however often this is said."""
        self.first.set()

    def force(self) -> None:
        """Do not wait for running calls."""
        self.first.set()
        self.second.set()

    def _arrived(self) -> None:
        if self.first.is_set() and not self._is_worker:
            self.second.set()
        self.first.set()
