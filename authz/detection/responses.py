"""Answer deviations as the configuration says, each for a time. Called by `watch`; acts through a `Responder`."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import structlog

from authz.clock import Clock
from authz.detection.deviation import Deviation, Phase
from authz.settings.detection import DetectionSettings, Kind, Response

RESPONSE_SECONDS = 5.0
"""How long one response may take; one that fails is tried again while the deviation lasts."""
MAX_RUNNING = 256
MAX_HELD = 65_536
LIMIT_TIMES_USUAL = 3.0

_ORDER = (Response.LIMIT, Response.DEMAND_STRONG, Response.SUSPEND, Response.ALERT, Response.RECORD_MORE)
"""What protects comes first."""
_HARMLESS = frozenset({Response.ALERT, Response.RECORD_MORE})

_log = structlog.get_logger(__name__)


class Responder(Protocol):
    """What can be done about a principal. `seconds` is for how long, from now; asking again prolongs."""

    async def record_more(self, principal: str, seconds: float, reason: str) -> None:
        """Record the bodies of its calls."""
        ...

    async def alert(self, deviation: Deviation) -> None:
        """Tell the operators."""
        ...

    async def demand_strong(self, principal: str, seconds: float, reason: str) -> None:
        """Demand strong authentication of it."""
        ...

    async def limit(self, principal: str, rate: float, seconds: float, reason: str) -> None:
        """Hold it to `rate` questions per second in this process."""
        ...

    async def suspend(self, principal: str, seconds: float, reason: str) -> None:
        """Refuse it."""
        ...


Timed = Callable[[str, float, str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class CallableResponder:
    """A responder of plain functions."""

    on_record_more: Timed
    on_alert: Callable[[Deviation], Awaitable[None]]
    on_demand_strong: Timed
    on_limit: Callable[[str, float, float, str], Awaitable[None]]
    on_suspend: Timed

    async def record_more(self, principal: str, seconds: float, reason: str) -> None:
        """Record the bodies of its calls."""
        await self.on_record_more(principal, seconds, reason)

    async def alert(self, deviation: Deviation) -> None:
        """Tell the operators."""
        await self.on_alert(deviation)

    async def demand_strong(self, principal: str, seconds: float, reason: str) -> None:
        """Demand strong authentication of it."""
        await self.on_demand_strong(principal, seconds, reason)

    async def limit(self, principal: str, rate: float, seconds: float, reason: str) -> None:
        """Hold it to a rate."""
        await self.on_limit(principal, rate, seconds, reason)

    async def suspend(self, principal: str, seconds: float, reason: str) -> None:
        """Refuse it."""
        await self.on_suspend(principal, seconds, reason)


def exemptions(admins: Iterable[str], patterns: Iterable[str]) -> Callable[[str], bool]:
    """Who is never held back: the admins to the letter, and all that a pattern with `*` fits."""
    exact = frozenset(admins)
    expression = "|".join(re.escape(pattern).replace(r"\*", ".*") for pattern in patterns)
    fits = re.compile(expression, re.DOTALL).fullmatch if expression else lambda _text: None
    return lambda principal: principal in exact or fits(principal) is not None


class Responses:
    """What is done about which deviation, and what holds already. Used on the event loop only.

    `count` is told kind and severity of everything new.
    """

    def __init__(
        self,
        settings: DetectionSettings,
        responder: Responder,
        clock: Clock,
        is_exempt: Callable[[str], bool],
        count: Callable[[str, str], None] = lambda _kind, _severity: None,
    ) -> None:
        self._settings = settings
        self._count = count
        self._responder = responder
        self._monotonic = clock.monotonic
        self._is_exempt = is_exempt
        self._seconds = {
            Response.RECORD_MORE: settings.record_seconds,
            Response.LIMIT: settings.limit_seconds,
            Response.DEMAND_STRONG: settings.strong_seconds,
            Response.SUSPEND: settings.suspend_seconds,
        }
        self._held: dict[tuple[str, Response], float] = {}
        self._running: set[asyncio.Task[None]] = set()

    def start(self, deviation: Deviation) -> None:
        """Answer a deviation beside what runs, so that a slow datastore holds up neither ticks nor other answers."""
        if len(self._running) >= MAX_RUNNING:
            _log.error("responses_overloaded", kind=deviation.kind.value, principal=deviation.principal)
            return
        task = asyncio.ensure_future(self.answer(deviation))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def settle(self) -> None:
        """Wait for the answers that are under way; each ends within some seconds."""
        await asyncio.gather(*self._running, return_exceptions=True)

    async def answer(self, deviation: Deviation) -> None:
        """Do what the configuration says; what holds already is renewed when half of its time has passed."""
        is_news = deviation.phase is not Phase.LASTS or deviation.is_reminder
        if is_news:
            _log.warning("deviation", **_fields(deviation))
            self._count(deviation.kind.value, deviation.severity.value)
        for response in self._chosen(deviation):
            if response is Response.ALERT:
                if is_news:
                    await self._try(response, deviation, self._responder.alert(deviation))
            elif deviation.phase is not Phase.ENDED:
                await self._hold(response, deviation)

    def _chosen(self, deviation: Deviation) -> list[Response]:
        chosen = set(self._settings.responses_to(deviation.kind, deviation.severity))
        if not deviation.principal or deviation.kind in (Kind.AUTHENTICATION, Kind.PRINCIPALS):
            chosen &= {Response.ALERT}
        elif chosen - _HARMLESS and self._is_exempt(deviation.principal):
            chosen &= _HARMLESS
        return [response for response in _ORDER if response in chosen]

    async def _hold(self, response: Response, deviation: Deviation) -> None:
        now, seconds = self._monotonic(), self._seconds[response]
        key = (deviation.principal, response)
        until = self._held.get(key, 0.0)
        if until - now > seconds / 2:
            return
        self._held[key] = now + seconds
        if await self._try(response, deviation, self._act(response, deviation, seconds)):
            _log.warning("response", response=response.value, seconds=seconds, **_fields(deviation))
        else:
            self._held.pop(key, None)
        if len(self._held) > MAX_HELD:
            self._prune(now)

    async def _act(self, response: Response, deviation: Deviation, seconds: float) -> None:
        responder, principal, reason = self._responder, deviation.principal, reason_of(deviation)
        if response is Response.LIMIT:
            rate = max(self._settings.limited_rate, LIMIT_TIMES_USUAL * deviation.usual_rate)
            await responder.limit(principal, rate, seconds, reason)
        elif response is Response.RECORD_MORE:
            await responder.record_more(principal, seconds, reason)
        elif response is Response.DEMAND_STRONG:
            await responder.demand_strong(principal, seconds, reason)
        else:
            await responder.suspend(principal, seconds, reason)

    async def _try(self, response: Response, deviation: Deviation, action: Awaitable[None]) -> bool:
        try:
            async with asyncio.timeout(RESPONSE_SECONDS):
                await action
        except Exception as error:  # noqa: BLE001 - one response that fails must not keep others from their turn
            _log.error("response_failed", response=response.value, error=type(error).__name__, **_fields(deviation))
            return False
        return True

    def _prune(self, now: float) -> None:
        self._held = {key: until for key, until in self._held.items() if until > now}
        while len(self._held) > MAX_HELD:
            del self._held[next(iter(self._held))]


def reason_of(deviation: Deviation) -> str:
    """Why something is done, in a few words."""
    return f"unusual {deviation.kind}: {deviation.observed:g} observed, {deviation.expected:g} usual"


def _fields(deviation: Deviation) -> dict[str, object]:
    return {
        "principal": deviation.principal,
        "kind": deviation.kind.value,
        "severity": deviation.severity.value,
        "phase": deviation.phase.value,
        "observed": deviation.observed,
        "expected": deviation.expected,
        **deviation.details,
    }
