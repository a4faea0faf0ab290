"""Whose turn it is to write to a standard output that several workers share. Used by the sink `stdout`.

A batch is written in pieces, so that a reader who does not read holds up no thread for ever; without turns the pieces
of two workers would tear each other's lines.
"""

from __future__ import annotations

import fcntl
import os
import time

_PAUSE = 0.005
_OPEN, _DONE = b"\x01", b"\x00"


class OutputTurns:
    """Turns of the processes that share a descriptor of `create`. The turn of one that was killed is over."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._is_mine = False

    @staticmethod
    def create() -> int:
        """A descriptor to hand to the processes."""
        descriptor = os.memfd_create("authz-output")
        os.write(descriptor, _DONE)
        return descriptor

    def begin(self, patience: float) -> bool | None:
        """Take the turn, or keep it. Whether whoever had it before was killed within a line; None: others have it.

        Args:
            patience: how many seconds to wait for it. Blocks so long.

        """
        if self._is_mine:
            return False
        ends = time.monotonic() + patience
        while not self._is_free():
            if time.monotonic() >= ends:
                return None
            time.sleep(_PAUSE)
        self._is_mine = True
        is_torn = os.pread(self._descriptor, 1, 0) == _OPEN
        os.pwrite(self._descriptor, _OPEN, 0)
        return is_torn

    def end(self) -> None:
        """Give it to the others: all lines are whole."""
        os.pwrite(self._descriptor, _DONE, 0)
        self._is_mine = False
        fcntl.lockf(self._descriptor, fcntl.LOCK_UN)

    def _is_free(self) -> bool:
        # A lock of the process, not of the descriptor, which all of them inherited from one.
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True
