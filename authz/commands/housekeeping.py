"""Collect what nobody can read any more, now and then. Started by `app` beside the server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog

from authz.clock import Clock
from authz.errors import AuthzError
from authz.store.api import Datastore

ROWS_PER_PASS = 1_000
"""Small, so that a pass holds up no writer for long."""

_log = structlog.get_logger(__name__)


LEAST_MEMORY = 3_600.0
"""Seconds for which an order that has ended is kept at least: a node that was cut off must still learn of its end."""


async def collect_forever(
    datastore: Datastore, clock: Clock, *, window: float, interval: float, changelog_retention: float = 0.0
) -> None:
    """Remove what ended more than `window` seconds ago, every `interval` seconds, until cancelled.

    That is rows of deleted tuples, and orders that were lifted or have expired. Changes go after `changelog_retention`
    seconds, but not before the window is over; never if it is 0.

    A database that does not answer is tried again at the next turn.
    """
    has_retention = changelog_retention > 0
    while True:
        await asyncio.sleep(interval)
        try:
            removed = await collect(datastore, clock, window=window)
            forgotten = await forget(datastore, clock, window=window)
            trimmed = await trim(datastore, clock, retention=max(changelog_retention, window)) if has_retention else 0
        except AuthzError as error:
            _log.warning("garbage_collection_failed", reason=error.reason, message=error.message)
        else:
            if removed or forgotten or trimmed:
                _log.info("garbage_collected", tuples=removed, directives=forgotten, changes=trimmed)


async def collect(datastore: Datastore, clock: Clock, *, window: float) -> int:
    """Remove tuples deleted more than `window` seconds ago; returns how many rows went."""
    older_than = clock.now() - timedelta(seconds=window)
    return await _exhaust(lambda: datastore.collect_garbage(older_than, limit=ROWS_PER_PASS))


async def forget(datastore: Datastore, clock: Clock, *, window: float) -> int:
    """Remove orders that ended more than `window` seconds and `LEAST_MEMORY` ago; returns how many went."""
    ended_before = clock.now() - timedelta(seconds=max(window, LEAST_MEMORY))
    return await _exhaust(lambda: datastore.forget_directives(ended_before, limit=ROWS_PER_PASS))


async def trim(datastore: Datastore, clock: Clock, *, retention: float) -> int:
    """Remove changes of more than `retention` seconds ago, but for the newest of each store; returns how many went."""
    older_than = clock.now() - timedelta(seconds=retention)
    store, total = "", 0
    while found := await datastore.trim_changelog(older_than, after_store=store, limit=ROWS_PER_PASS):
        total += found.removed
        if found.removed < ROWS_PER_PASS:
            store = found.store_id
    return total


async def _exhaust(remove: Callable[[], Awaitable[int]]) -> int:
    total = 0
    while removed := await remove():
        total += removed
    return total
