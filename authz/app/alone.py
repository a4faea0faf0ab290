"""Serve in this process until it is asked to end. Called by `process` for a service of one, and by `worker`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from threading import Timer

import structlog
import uvloop

from authz.app.codes import DONE, FORCED, SERVICE_ERROR
from authz.app.listeners import Listeners
from authz.app.place import Place
from authz.app.process import announce
from authz.app.service import Serving, serving
from authz.app.stopping import CLOSING_SECONDS, Stopping, end_within
from authz.settings import Settings
from authz.settings.show import effective

SWITCH_SECONDS = 0.001
"""How long a question on a thread may keep the event loop from its turn; Python's own 5 ms show in every short call."""

_log = structlog.get_logger(__name__)


def serve_alone(settings: Settings) -> int:
    """Serve; returns the exit code.

    Raises:
        InvalidSettings, AuthzError: it cannot serve, as `serving` says.

    """
    sys.setswitchinterval(SWITCH_SECONDS)

    def ready(service: Serving) -> None:
        _log.info("settings", **effective(settings))
        http, metrics = service.http_address or "off", service.telemetry.address or "off"
        _log.info("serving", grpc_addr=service.grpc_address, http_addr=http, metrics_addr=metrics)
        announce(service.grpc_address, service.http_address)

    async def work() -> int:
        return await serve_until(Stopping(), settings, ready)

    return uvloop.run(work())


async def serve_until(
    stopping: Stopping, settings: Settings, ready: Callable[[Serving], None], place: Place | None = None
) -> int:
    """Serve, tell `ready` when it can answer, drain when it is to stop; returns the exit code.

    Raises:
        InvalidSettings, AuthzError: it cannot serve, as `serving` says.

    """
    async with serving(settings, place=place) as service:
        ready(service)
        await stopping.first.wait()
        _log.info("draining", grace_seconds=settings.shutdown_grace)
        endings = [end_within(settings.shutdown_grace + CLOSING_SECONDS)]
        forced = asyncio.create_task(_force_at_second(stopping, service.listeners, endings))
    forced.cancel()
    for ending in endings:
        ending.cancel()
    _log.info("stopped", forced=stopping.second.is_set())
    if service.trail.recorder.statistics().lost:
        return SERVICE_ERROR
    return FORCED if stopping.second.is_set() else DONE


async def _force_at_second(stopping: Stopping, listeners: Listeners, endings: list[Timer]) -> None:
    await stopping.second.wait()
    endings.append(end_within(CLOSING_SECONDS))
    await listeners.drain(0)
