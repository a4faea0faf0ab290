"""When a process is to end: two events, set by signals or by whoever started it. Used by all that serve."""

from __future__ import annotations

import asyncio
import os
import signal
import threading

import structlog

from authz.app.codes import FORCED

CLOSING_SECONDS = 10.0
"""How long a process may take, beyond the grace of calls, to write its last records and to let go of the database."""

_log = structlog.get_logger(__name__)


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


def end_within(seconds: float) -> threading.Timer:
    """End this process by force after so many seconds, unless this is cancelled.

    Who waits for a database that does not answer waits on threads, which nothing else can end: without this a program
    that is asked to end would stay for as long as the database does.
    """
    timer = threading.Timer(seconds, _end, [seconds])
    timer.daemon = True
    timer.start()
    return timer


def _end(seconds: float) -> None:
    _log.error("ended_by_force", why=f"the end took longer than {seconds:g} s")
    os._exit(FORCED)
