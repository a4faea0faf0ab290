"""Detection and what follows from it, put together. Called by `edge`.

Responses act through what exists anyway: directives (which every node heeds and the trail records), the limiter, and
the demand for strong authentication.
"""

from __future__ import annotations

import asyncio
import platform
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from authz.access.authentication import StrongRules
from authz.access.limits.limiter import Limiter
from authz.call import Origin
from authz.clock import Clock
from authz.commands.directives import CAPTURE, SUSPENSION, Directives
from authz.detection import (
    Alerts,
    AuthenticationFailures,
    Detector,
    Deviation,
    Responses,
    alert_of,
    exemptions,
    watch_forever,
)
from authz.settings import Settings
from authz.telemetry import Meter, observe_alerts, observe_events

ITSELF = Origin("service/detection")
"""Who issued the directives that detection gave."""


@dataclass(frozen=True, slots=True)
class Noticing:
    """What the edge tells of calls and of failures."""

    detector: Detector
    failures: AuthenticationFailures


class Reaction:
    """See `detection.Responder`."""

    def __init__(
        self, directives: Directives, limiter: Limiter | None, strong: StrongRules, alerts: Alerts, clock: Clock
    ) -> None:
        self._directives = directives
        self._limiter = limiter
        self._strong = strong
        self._alerts = alerts
        self._clock = clock

    async def record_more(self, principal: str, seconds: float, reason: str) -> None:
        """Capture the bodies of its calls."""
        await self._order(CAPTURE, principal, seconds, reason)

    async def alert(self, deviation: Deviation) -> None:
        """Tell the operators."""
        self._alerts.send(alert_of(deviation))

    async def demand_strong(self, principal: str, seconds: float, reason: str) -> None:  # noqa: ARG002 - the protocol
        """Demand strong authentication of it."""
        self._strong.require(principal, self._clock.monotonic() + seconds)

    async def limit(self, principal: str, rate: float, seconds: float, reason: str) -> None:  # noqa: ARG002 - the protocol
        """Hold it to a rate, unless callers are not held to rates at all."""
        if self._limiter is not None:
            self._limiter.restrict(principal, rate, self._clock.monotonic() + seconds)

    async def suspend(self, principal: str, seconds: float, reason: str) -> None:
        """Refuse it on every node."""
        await self._order(SUSPENSION, principal, seconds, reason)

    async def _order(self, kind: str, principal: str, seconds: float, reason: str) -> None:
        expires_at = self._clock.now() + timedelta(seconds=seconds)
        await self._directives.issue(
            kind, {"principal": principal}, by=ITSELF, reason=reason[:256], expires_at=expires_at
        )


@asynccontextmanager
async def noticing(
    settings: Settings, clock: Clock, reaction: tuple[Directives, Limiter | None, StrongRules], meter: Meter
) -> AsyncIterator[Noticing]:
    """Detection while the block runs.

    Raises:
        InvalidSettings: a secret of a webhook cannot be read.

    """
    alerts = Alerts(settings.alerts, clock, node=platform.node())
    detector = Detector(settings.detection, clock, workers=settings.workers)
    failures = AuthenticationFailures(settings.detection, clock)
    responder = Reaction(*reaction, alerts, clock)
    is_exempt = exemptions(settings.access.admins, settings.detection.exempt)
    responses = Responses(settings.detection, responder, clock, is_exempt, observe_events(meter))
    observe_alerts(meter, alerts)
    meter.observe_source("authz.detection.tracked", lambda: detector.principals)
    alerts.start()
    watching = asyncio.create_task(watch_forever(detector, failures, responses, alerts))
    try:
        yield Noticing(detector, failures)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await responses.settle()
        await alerts.close()
