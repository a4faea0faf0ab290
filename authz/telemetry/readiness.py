"""Whether the service can answer now, part by part. Filled by `app`, asked by the listener's `/readyz`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from functools import partial

import structlog

from authz.errors import AuthzError

Check = Callable[[], str]
"""Why a part is not ready; empty when it is. Quick, called on another thread than the event loop's."""
Probe = Callable[[], Awaitable[None]]
"""Returns when a part answers, raises when it does not. Run on the event loop of the service."""

KEPT_SECONDS = 1.0
"""How long the outcome of a probe counts."""
PATIENCE_SECONDS = 2.0

_log = structlog.get_logger(__name__)


class Readiness:
    """The checks of all parts. `state` is asked on any event loop; probes run on that of the service."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._checks: dict[str, Check] = {"serving": lambda: "starting"}
        self._probes: dict[str, _Probed] = {}

    def check(self, name: str, check: Check) -> None:
        """Ask `check` each time. The check `serving` exists from the start and fails until it is replaced."""
        self._checks[name] = check

    def probe(self, name: str, probe: Probe) -> None:
        """Ask `probe` when its last outcome is older than `KEPT_SECONDS`. Called on the event loop of the service."""
        self._probes[name] = _Probed(name, probe, asyncio.get_running_loop(), self._monotonic)

    async def state(self) -> dict[str, str]:
        """Why each part is not ready; empty for those that are."""
        found = {name: _ask(name, check) for name, check in self._checks.items()}
        outcomes = await asyncio.gather(*(probed.outcome() for probed in self._probes.values()))
        return found | dict(zip(self._probes, outcomes, strict=True))


class _Probed:
    """A probe and its last outcome. Asked on the event loops of the listener and of the service, each for itself."""

    def __init__(
        self, name: str, probe: Probe, loop: asyncio.AbstractEventLoop, monotonic: Callable[[], float]
    ) -> None:
        self._name = name
        self._probe = probe
        self._loop = loop
        self._monotonic = monotonic
        self._asked = float("-inf")
        self._outcome = ""
        self._running: dict[asyncio.AbstractEventLoop, asyncio.Future[str]] = {}

    async def outcome(self) -> str:
        """The last outcome, or a new one; all who ask meanwhile share it."""
        loop = asyncio.get_running_loop()
        running = self._running.get(loop)
        if running is None and self._monotonic() - self._asked >= KEPT_SECONDS:
            running = self._running[loop] = asyncio.ensure_future(self._renew())
            running.add_done_callback(partial(self._finish, loop))
        return self._outcome if running is None else await asyncio.shield(running)

    def _finish(self, loop: asyncio.AbstractEventLoop, done: asyncio.Future[str]) -> None:
        del self._running[loop]
        if not done.cancelled():
            self._outcome, self._asked = done.result(), self._monotonic()

    async def _renew(self) -> str:
        try:
            asked: Future[None] = asyncio.run_coroutine_threadsafe(self._run(), self._loop)
            await asyncio.wait_for(asyncio.wrap_future(asked), PATIENCE_SECONDS)
        except TimeoutError:
            return f"no answer within {PATIENCE_SECONDS:g} s"
        except Exception as error:  # noqa: BLE001 - whatever it is, the part is not ready
            return _why(self._name, error)
        return ""

    async def _run(self) -> None:
        await self._probe()


def _ask(name: str, check: Check) -> str:
    try:
        return check()
    except Exception as error:  # noqa: BLE001 - what cannot be asked is not ready
        return _why(name, error)


def _why(name: str, error: Exception) -> str:
    if isinstance(error, AuthzError):
        return error.message
    _log.error("readiness_not_known", check=name, exc_info=error)
    return "cannot be asked"
