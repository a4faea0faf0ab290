"""The real clock of an event loop, finer than the loop's own timers. Used by `client`.

An event loop sleeps in whole milliseconds; late calls would then carry up to one of the driver's own into every
latency. Where the kernel has timers as files (Linux), the loop waits for one of them instead.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import time
from contextlib import suppress

_CLOCK_MONOTONIC, _ABSOLUTE, _NONBLOCK_CLOEXEC = 1, 1, 0o2000000 | 0o4000


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Timer(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class Timer:
    """Nanoseconds of the monotonic clock, which all processes of a machine share."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._file = -1
        with suppress(AttributeError):  # not Linux
            self._file = self._libc.timerfd_create(_CLOCK_MONOTONIC, _NONBLOCK_CLOEXEC)

    def __enter__(self) -> Timer:
        return self

    def __exit__(self, *raised: object) -> None:
        if self._file >= 0:
            os.close(self._file)

    def now(self) -> int:
        """Nanoseconds."""
        return time.monotonic_ns()

    async def until(self, moment: int) -> None:
        """Return when it is that time; one caller at a time."""
        if self._file < 0:
            await asyncio.sleep(max(moment - self.now(), 0) / 1e9)
            return
        loop = asyncio.get_running_loop()
        rung: asyncio.Future[None] = loop.create_future()
        value = _Timer(_Timespec(0, 0), _Timespec(*divmod(moment, 1_000_000_000)))
        self._libc.timerfd_settime(self._file, _ABSOLUTE, ctypes.byref(value), None)
        loop.add_reader(self._file, _ring, rung, self._file)
        try:
            await rung
        finally:
            loop.remove_reader(self._file)


def _ring(rung: asyncio.Future[None], file: int) -> None:
    with suppress(BlockingIOError):
        os.read(file, 8)
    if not rung.done():
        rung.set_result(None)
