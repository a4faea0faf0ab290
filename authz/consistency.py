"""How fresh an answer must be, as the caller asked for it. Parsed by the edge, resolved to a revision by `commands`."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Mode(Enum):
    """The four consistency modes, by their names on the wire."""

    MINIMIZE_LATENCY = "minimize-latency"
    AT_LEAST_AS_FRESH = "at-least-as-fresh"
    AT_EXACT_SNAPSHOT = "at-exact-snapshot"
    FULLY_CONSISTENT = "fully-consistent"


class Consistency(NamedTuple):
    """A mode with the consistency token that two of the modes carry (empty for the others)."""

    mode: Mode = Mode.MINIMIZE_LATENCY
    token: str = ""

    @property
    def is_exact(self) -> bool:
        """Whether nothing may be answered from memory without asking the datastore."""
        return self.mode is Mode.FULLY_CONSISTENT
