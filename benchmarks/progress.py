"""What a run says while it runs, on standard error: one changing line on a terminal, else a line now and then."""

from __future__ import annotations

import sys
import time
from typing import TextIO

from rich.console import Console
from rich.status import Status

QUIET_SECONDS = 10.0
"""How often a line is written where lines cannot change."""


class Progress:
    """Says how far a run is."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._console = Console(file=stream or sys.stderr, highlight=False, markup=False, soft_wrap=True)
        self._status: Status | None = None
        self._begun = time.monotonic()
        self._said = 0.0

    def __enter__(self) -> Progress:
        if self._console.is_terminal:
            self._status = self._console.status("")
            self._status.start()
        return self

    def __exit__(self, *raised: object) -> None:
        if self._status is not None:
            self._status.stop()

    def line(self, text: str) -> None:
        """A line that stays."""
        self._console.print(f"{self._elapsed()} {text}")
        self._said = time.monotonic()

    def now(self, text: str) -> None:
        """What is going on; may be said often."""
        if self._status is not None:
            self._status.update(f"{self._elapsed()} {text}")
        elif time.monotonic() - self._said >= QUIET_SECONDS:
            self.line(text)

    def _elapsed(self) -> str:
        minutes, seconds = divmod(int(time.monotonic() - self._begun), 60)
        return f"[{minutes:d}:{seconds:02d}]"
