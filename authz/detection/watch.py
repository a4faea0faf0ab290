"""Look every second whether anything is unusual, and have it answered. Started by `app` beside the server."""

from __future__ import annotations

import asyncio

import structlog

from authz.detection.alerts import Alerts
from authz.detection.detector import Detector
from authz.detection.failures import AuthenticationFailures
from authz.detection.responses import Responses

TICK_SECONDS = 1.0

_log = structlog.get_logger(__name__)


async def watch_forever(
    detector: Detector, failures: AuthenticationFailures, responses: Responses, alerts: Alerts
) -> None:
    """Tick every second until cancelled, giving the event loop its turn between slices of principals."""
    while True:
        await asyncio.sleep(TICK_SECONDS)
        try:
            await watch_once(detector, failures, responses, alerts)
        except Exception as error:  # noqa: BLE001 - whatever it is, the next second must be watched
            _log.error("detection_failed", exc_info=error)


async def watch_once(
    detector: Detector, failures: AuthenticationFailures, responses: Responses, alerts: Alerts
) -> None:
    """One tick of everything."""
    for deviation in failures.tick():
        responses.start(deviation)
    for found in detector.sweep():
        for deviation in found:
            responses.start(deviation)
        await asyncio.sleep(0)
    alerts.tick()
