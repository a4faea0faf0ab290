"""Let calls in: so many of one address at a time, and only with their request. Used by the listeners, before the chain.

grpc hands a call over when its headers have arrived; its message may never come. It ends a call when its answer has
left; the peer may never make room for it. Such calls reach no deadline of the chain, and whoever holds many of them
would keep everybody out. So the message has a deadline of its own, and an address a share of the calls that are open.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import grpc

from authz.access.limits.peers import network_of

Context = grpc.aio.ServicerContext[bytes, bytes]

LOOK_SECONDS = 0.25
"""How often it is looked for requests that are late."""
TOO_MANY = "too many open calls from this address"


class Door:
    """Where calls come in.

    Args:
        most: how many calls of one address may be open.
        monotonic: seconds on a clock that never goes back.

    """

    def __init__(self, most: int, monotonic: Callable[[], float]) -> None:
        self._most = most
        self._monotonic = monotonic
        self._open: dict[str, int] = {}
        self._arriving: dict[asyncio.Task[Any], float] = {}
        self._late: set[asyncio.Task[Any]] = set()
        self._looking: asyncio.TimerHandle | None = None
        self.refused = 0
        """How many calls were not let in."""

    def enter(self, address: str) -> str | None:
        """Count a call that begins. What to hand to `leave` when it ends; None when it is not let in."""
        network = network_of(address)
        count = self._open.get(network, 0)
        if count >= self._most:
            self.refused += 1
            return None
        self._open[network] = count + 1
        return network

    def leave(self, network: str, _context: object = None) -> None:
        """Count a call no longer."""
        count = self._open[network] - 1
        if count:
            self._open[network] = count
        else:
            del self._open[network]

    async def receive(self, context: Context, address: str, seconds: float) -> bytes:
        """The request of a call, which has `seconds` to arrive. Ends a call that is not let in."""
        network = self.enter(address)
        if network is None:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, TOO_MANY)
        when_done: Any = context.add_done_callback  # whose declared type no function has
        when_done(partial(self.leave, network))
        payload = await self._read(context, seconds)
        if payload is None:
            self.refused += 1
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "the request did not arrive in time")
        if not isinstance(payload, bytes):  # grpc says that there is none
            self.refused += 1
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the call has no request")
        return payload

    async def _read(self, context: Context, seconds: float) -> Any:
        task = asyncio.current_task()
        assert task is not None
        self._arriving[task] = self._monotonic() + seconds
        if self._looking is None:
            self._looking = asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look)
        try:
            return await context.read()
        except asyncio.CancelledError:
            # One that its caller gave up at the same moment goes on being cancelled.
            if task not in self._late or task.uncancel():
                raise
            return None
        finally:
            del self._arriving[task]
            self._late.discard(task)

    def _look(self) -> None:
        now = self._monotonic()
        for task, late_at in self._arriving.items():
            if late_at <= now:
                self._late.add(task)
                task.cancel()
        again = asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look) if self._arriving else None
        self._looking = again
