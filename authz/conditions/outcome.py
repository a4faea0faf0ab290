"""What evaluating a condition says. Returned by condition; read by the engine."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class State(Enum):
    """The four ways an evaluation can end."""

    MET = "met"
    NOT_MET = "not_met"
    MISSING = "missing"
    FAILED = "failed"


class Outcome(NamedTuple):
    """One evaluation; met and not met are always the constants `MET` and `NOT_MET`, so `is` tells them."""

    state: State
    missing: tuple[str, ...] = ()
    """Declared parameters that neither the tuple nor the request gives, sorted; empty unless `State.MISSING`."""
    message: str = ""
    """Why there is no answer, fit for the caller; empty unless `State.FAILED`."""


MET = Outcome(State.MET)
NOT_MET = Outcome(State.NOT_MET)
