"""A file that is read again when it changes: keys and secrets that rotate while the service runs. Used by `access`,
`audit` and `detection`."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import structlog

T = TypeVar("T")

LOOK_SECONDS = 1.0
"""How old the last look at a file may be."""

_log = structlog.get_logger(__name__)


class WatchedFile(Generic[T]):
    """What a file says. A change that cannot be read is logged, and the former value stays.

    Args:
        path: the file.
        parse: reads its contents; raises ValueError with a message that shows nothing secret.
        monotonic: seconds on a clock that never goes back.

    Raises:
        OSError: the file cannot be read at the start.
        ValueError: its contents are not what `parse` expects at the start.

    """

    def __init__(
        self, path: Path, parse: Callable[[bytes], T], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._path = path
        self._parse = parse
        self._monotonic = monotonic
        self._state = _state(path)
        self._value = parse(path.read_bytes())
        self._looked = monotonic()

    @property
    def value(self) -> T:
        """The value as of at most `LOOK_SECONDS` ago. One `stat` then, a read only after a change."""
        now = self._monotonic()
        if now - self._looked >= LOOK_SECONDS:
            self._looked = now
            self._look()
        return self._value

    def _look(self) -> None:
        try:
            state = _state(self._path)
            if state != self._state:
                self._value = self._parse(self._path.read_bytes())
                self._state = state
                _log.info("file_reloaded", path=str(self._path))
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            _log.error("file_not_reloaded", path=str(self._path), why=why)


def _state(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size
