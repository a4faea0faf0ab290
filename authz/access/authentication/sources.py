"""Where the keys of an issuer come from: its server, remembered through outages, or a file. Used by `tokens`."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Protocol

import structlog

from authz.access.authentication.discovery import fetch_keys
from authz.access.authentication.fetching import FetchFailed, on_own_thread
from authz.access.authentication.files import watched
from authz.access.authentication.keyset import KeySet, parse_keys
from authz.clock import Clock
from authz.settings.access import IssuerSettings

_SLACK = 1.0
"""Seconds beyond its timeout after which a fetch is given up, whatever its thread does."""

_log = structlog.get_logger(__name__)


class KeySource(Protocol):
    """The keys of one issuer. Used on the event loop only."""

    @property
    def keys(self) -> KeySet | None:
        """The keys that count now; None when none are known, or not any more."""
        ...

    @property
    def age(self) -> float:
        """Seconds since the keys were read; infinite before they were."""
        ...

    async def renew(self, key_id: str | None) -> None:
        """Get newer keys for the sake of a key, unless that was vain within the cooldown. Waits as a fetch may take."""
        ...

    async def follow_forever(self) -> None:
        """Keep the keys fresh until cancelled."""
        ...


class FileKeys:
    """Keys in a local file.

    Raises:
        InvalidSettings: the file cannot be read at the start.

    """

    def __init__(self, issuer: str, path: Path, clock: Clock) -> None:
        self._file = watched(path, lambda raw: parse_keys(issuer, raw), clock)

    @property
    def keys(self) -> KeySet | None:
        """What the file says."""
        return self._file.value

    @property
    def age(self) -> float:
        """0: the file is looked at all the time."""
        return 0.0

    async def renew(self, key_id: str | None) -> None:
        """Nothing: the file is looked at anyway."""

    async def follow_forever(self) -> None:
        """Nothing: the file is looked at anyway."""


class FetchedKeys:
    """Keys from the issuer's server. One fetch at a time; what it brought stays until the next that succeeds."""

    def __init__(self, settings: IssuerSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._keys: KeySet | None = None
        self._fetched_at = float("-inf")
        self._asked_at = float("-inf")
        self._is_wanted = asyncio.Event()
        self._flight: asyncio.Task[None] | None = None
        self._is_thread_busy = False

    @property
    def keys(self) -> KeySet | None:
        """What the server last said, unless that is too long ago."""
        if self._clock.monotonic() - self._fetched_at > self._settings.max_staleness:
            return None
        return self._keys

    @property
    def age(self) -> float:
        """Seconds since the server last said."""
        return self._clock.monotonic() - self._fetched_at

    async def renew(self, key_id: str | None) -> None:
        """Fetch now, with all others who wait for it; while cooling only leave word for `follow_forever`."""
        if self._flight is None:
            now = self._clock.monotonic()
            if now - self._asked_at < self._settings.cooldown:
                self._is_wanted.set()
                return
            self._asked_at = now
        await self.refresh()
        if self._keys is not None and (key_id is None or key_id in self._keys.ids):
            # It was no forgery, so it must not keep the next new key waiting.
            self._asked_at = float("-inf")

    async def refresh(self) -> None:
        """Fetch now; a failure is logged and changes nothing."""
        if self._flight is None:
            self._flight = asyncio.get_running_loop().create_task(self._fly())
        # The caller may be cancelled at its deadline; the fetch serves others too.
        await asyncio.shield(self._flight)

    async def follow_forever(self) -> None:
        """Fetch at every interval; sooner, but not before the cooldown, after a failure or for an unknown key."""
        while True:
            await self.refresh()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause()):
                    await self._until_wanted()

    async def _until_wanted(self) -> None:
        while True:
            await self._is_wanted.wait()
            await asyncio.sleep(max(0.0, self._asked_at + self._settings.cooldown - self._clock.monotonic()))
            if self._is_wanted.is_set():  # else somebody fetched meanwhile
                self._asked_at = self._clock.monotonic()
                return

    def _pause(self) -> float:
        interval = self._settings.refresh_interval
        is_behind = self._clock.monotonic() - self._fetched_at > interval
        return min(interval, self._settings.cooldown) if is_behind else interval

    async def _fly(self) -> None:
        settings = self._settings
        try:
            async with asyncio.timeout(settings.timeout + _SLACK):
                found = await self._on_thread()
        except (FetchFailed, ValueError, TimeoutError) as error:
            self._log_failure(str(error) or "too slow")
        except Exception as error:  # noqa: BLE001 - whatever a document does to its readers, the former keys stay
            self._log_failure(type(error).__name__)
        else:
            if self._keys is None or found.ids != self._keys.ids:
                _log.info("issuer_keys_fetched", issuer=settings.name, keys=len(found.ids))
            if found != self._keys:  # else what was verified by these keys stays verified
                self._keys = found
            self._fetched_at = self._clock.monotonic()
        finally:
            self._is_wanted.clear()
            self._flight = None

    async def _on_thread(self) -> KeySet:
        if self._is_thread_busy:
            raise FetchFailed("an earlier fetch still hangs")

        def work() -> KeySet:
            self._is_thread_busy = True
            try:
                return fetch_keys(self._settings)
            finally:
                self._is_thread_busy = False

        return await on_own_thread(work)

    def _log_failure(self, why: str) -> None:
        has_keys = self.keys is not None
        _log.warning("issuer_keys_not_fetched", issuer=self._settings.name, why=why, has_keys=has_keys)


def key_source(settings: IssuerSettings, clock: Clock) -> KeySource:
    """The source that an issuer's settings name.

    Raises:
        InvalidSettings: a file that is named cannot be read.

    """
    if settings.jwks_file is not None:
        return FileKeys(settings.name, settings.jwks_file, clock)
    return FetchedKeys(settings, clock)
