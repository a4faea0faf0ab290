"""Behaviour that is unusual, as a value. Made by the detector and by `failures`; answered by `responses`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from authz.settings.detection import Kind, Severity

NO_DETAILS: Mapping[str, str | int] = MappingProxyType({})


class Phase(StrEnum):
    """Where in its life a deviation is."""

    BEGAN = "began"
    WORSENED = "worsened"
    LASTS = "lasts"
    """Told again and again while it lasts, so that what holds for a time is renewed; an alert only now and then."""
    ENDED = "ended"


class Deviation(NamedTuple):
    """What one principal does differently from what it always did."""

    principal: str
    """Whose behaviour it is; empty when it is nobody's in particular."""
    kind: Kind
    observed: float
    expected: float
    """The usual at its busiest, in the unit of `observed`: questions per second for a rate, else a count a minute."""
    severity: Severity
    time: datetime
    phase: Phase = Phase.BEGAN
    is_reminder: bool = False
    """Of one that lasts: whether it is time to alert again."""
    usual_rate: float = 0.0
    """Questions per second in the principal's usual busiest minute."""
    details: Mapping[str, str | int] = NO_DETAILS
