"""The loop that looks every second: it goes on whatever happens."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from typing import Any, cast

import pytest

from authz.detection import Alerts, AuthenticationFailures, Detector, Responses, exemptions, watch, watch_forever
from authz.settings.alerts import AlertsSettings
from authz.settings.detection import DetectionSettings
from tests.detection.support import HOUR, FakeClock, World, completed, unusual
from tests.detection.test_responses import Recorder

pytestmark = pytest.mark.anyio


async def test_what_fails_does_not_end_the_watch(monkeypatch: pytest.MonkeyPatch, log: io.StringIO) -> None:
    """
    An error that nobody expected is logged, and the next tick looks again.
    """
    monkeypatch.setattr(watch, "TICK_SECONDS", 0.001)
    clock = FakeClock()
    settings = DetectionSettings()
    failures = AuthenticationFailures(settings, clock)
    responses = Responses(settings, Recorder(clock).responder(), clock, exemptions([], []))
    alerts = Alerts(AlertsSettings(), clock, node="n")
    failures._due = cast("Any", None)
    watching = asyncio.create_task(watch_forever(Detector(settings, clock), failures, responses, alerts))
    await until(lambda: "detection_failed" in log.getvalue())
    failures._due = []
    for _ in range(20):
        failures.note("192.0.2.1", "", "bad signature")
    await until(lambda: '"deviation"' in log.getvalue())
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching
    await responses.settle()


async def test_one_principal_that_breaks_a_tick_hides_no_other(log: io.StringIO) -> None:
    """
    It is logged and known anew; everybody else is looked at in the same tick.
    """
    world = World()
    world.run(HOUR, 1)
    world.detector.observe(completed("issuer/broken"))
    world.detector._profiles["issuer/broken"].candidates = cast("Any", None)
    found = [each for _ in range(5) for each in world.second([completed()] * 200 + [completed("issuer/broken")])]
    assert {each.principal for each in unusual(found)} == {"issuer/caller"}
    assert log.getvalue().count("detection_failed") == 1
    assert world.detector.principals == 2


async def test_a_tick_that_is_given_up_is_made_up_for() -> None:
    """
    Whoever was not looked at before the end of a tick is looked at in the next.
    """
    world = World()
    for number in range(1000):
        world.detector.observe(completed(f"issuer/{number}"))
    world.clock.move(1)
    sweep = world.detector.sweep()
    next(sweep)
    sweep.close()
    world.second()
    assert sum(profile.window_questions for profile in world.detector._profiles.values()) == 1000


async def until(condition: Callable[[], bool]) -> None:
    """Give the event loop its turn until something holds."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what is waited for is a line of the log
            await asyncio.sleep(0.001)
