"""Allowances in a Redis or Valkey that all nodes take from. The only module that speaks to it; used by `shared`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

from authz.access.limits.account import Pace
from authz.settings import InvalidSettings

KEY_PREFIX = "authz:limit:"

# The same algorithm as in `account`, by the clock of the store, in microseconds. ARGV: interval, depth, the units that
# are needed, those that are wanted at most, the largest cost, and the units that were taken just now for the same call.
# Returns how long to wait, and how much was taken, as time.
# A key that lies further ahead than anybody can have put it was written before the clock was set back: it is spent,
# no more.
_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, depth = tonumber(ARGV[1]), tonumber(ARGV[2])
local need, want = ARGV[3] * interval, ARGV[4] * interval
local due = tonumber(redis.call('GET', KEYS[1]) or now)
if due < now or due > now + depth + ARGV[5] * interval then
  due = due < now and now or now + depth
end
local spare = now + depth - due
local floor = math.min(need, depth - ARGV[6] * interval)
if spare < floor then
  return {math.ceil(floor - spare), 0}
end
local taken = math.max(math.ceil(need), math.floor(math.min(want, spare)))
due = due + taken
redis.call('SET', KEYS[1], string.format('%.0f', due), 'PX', math.ceil((due - now) / 1000) + 1)
return {0, taken}
"""
_MICRO = 1e6
_LARGEST_COST = 10_000
"""Units that no single call costs."""


class SharedFailure(Exception):
    """The shared store did not answer in time, or not as it should."""


class Taken(NamedTuple):
    """How many seconds to wait, or how many units were taken."""

    wait: float
    units: float


class SharedCounter:
    """Takes units from shared allowances. Connects when first used, and anew after a failure.

    Args:
        url: where the store is; asked for every new connection. It may hold a password.
        timeout: in seconds, of an answer.

    Raises:
        InvalidSettings: the extra that brings the client is not installed, or the URL is none.

    """

    def __init__(self, url: Callable[[], str], timeout: float) -> None:
        try:
            import valkey.asyncio
        except ModuleNotFoundError:
            raise InvalidSettings("setting `limits.shared_url` needs the extra `redis` to be installed") from None
        self._library: Any = valkey.asyncio
        try:
            self._library.Valkey.from_url(url())
        except ValueError:  # what it says may show the password
            raise InvalidSettings(
                "setting `limits.shared_url`: expected redis://HOST:PORT/0, or rediss://… for TLS"
            ) from None
        self._errors: tuple[type[Exception], ...] = (valkey.exceptions.ValkeyError, OSError, TimeoutError, ValueError)
        self._url = url
        self._timeout = timeout
        self._client: Any = None
        self._script: Any = None

    async def take(self, key: str, pace: Pace, need: float, want: float, had: float = 0.0) -> Taken:
        """Take at least `need` and at most `want` units, or say how long to wait for `need`.

        Whoever took `had` units just now, for the same, needs no more than what they left of a whole allowance.

        Raises:
            SharedFailure: there is no telling.

        """
        interval, depth = pace.interval * _MICRO, pace.depth * _MICRO
        try:
            async with asyncio.timeout(self._timeout):
                script = self._script or self._connect()
                arguments = (repr(interval), repr(depth), repr(need), repr(want), _LARGEST_COST, repr(had))
                wait, taken = await script(keys=[KEY_PREFIX + key], args=arguments)
        except self._errors as error:
            await self.close()
            raise SharedFailure(type(error).__name__) from None
        return Taken(wait / _MICRO, taken / interval)

    async def ping(self, patience: float) -> None:
        """Connect, if need be, and wait for a sign of life.

        Raises:
            SharedFailure: there is none within `patience` seconds.

        """
        try:
            async with asyncio.timeout(patience):
                if self._client is None:
                    self._connect()
                await self._client.ping()
        except self._errors as error:
            await self.close()
            raise SharedFailure(type(error).__name__) from None

    async def close(self) -> None:
        """Drop all connections."""
        client, self._client, self._script = self._client, None, None
        if client is not None:
            with suppress(*self._errors):
                await client.aclose()

    def _connect(self) -> Any:
        self._client = self._library.Valkey.from_url(self._url())
        self._script = self._client.register_script(_TAKE)
        return self._script
