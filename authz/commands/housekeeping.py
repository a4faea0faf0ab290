"""Collect what nobody can read any more, now and then. Started by `app` beside the server."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import structlog

from authz.clock import Clock
from authz.errors import AuthzError
from authz.store.api import Datastore

ROWS_PER_PASS = 1_000
"""Small, so that a pass holds up no writer for long."""

_log = structlog.get_logger(__name__)


async def collect_forever(datastore: Datastore, clock: Clock, *, window: float, interval: float) -> None:
    """Remove rows of tuples deleted more than `window` seconds ago, every `interval` seconds, until cancelled.

    A database that does not answer is tried again at the next turn.
    """
    while True:
        await asyncio.sleep(interval)
        try:
            removed = await collect(datastore, clock, window=window)
        except AuthzError as error:
            _log.warning("garbage_collection_failed", reason=error.reason, message=error.message)
        else:
            if removed:
                _log.info("garbage_collected", tuples=removed)


async def collect(datastore: Datastore, clock: Clock, *, window: float) -> int:
    """Remove everything deleted more than `window` seconds ago; returns how many rows went."""
    older_than = clock.now() - timedelta(seconds=window)
    total = 0
    while True:
        removed = await datastore.collect_garbage(older_than, limit=ROWS_PER_PASS)
        total += removed
        if removed == 0:
            return total
