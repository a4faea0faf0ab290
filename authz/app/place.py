"""Which of several workers a process is, and what it shares with the others. Made by `worker`, used by `service`."""

from __future__ import annotations

from typing import NamedTuple

from authz.audit.sinks.turns import OutputTurns
from authz.index.signal import Signal


class Place(NamedTuple):
    """A worker among others."""

    number: int
    """From 1. The first one also does what has to be done only once."""
    signal: Signal
    """By which the workers tell each other of commits."""
    output: OutputTurns | None = None
    """By whose turn they write records to the standard output that they share; None when they do not."""
