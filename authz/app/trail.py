"""Open the datastore with its audit trail. Called by `serving`."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from authz.app.services import open_migrated
from authz.audit.trail import Sealing, keys_of_datastore, open_keys, open_sealing
from authz.clock import Clock
from authz.settings import Settings
from authz.store.sql import SqlDatastore


class Sealed(NamedTuple):
    """A datastore, and what seals its changes."""

    datastore: SqlDatastore
    sealing: Sealing


async def open_sealed(settings: Settings, clock: Clock) -> Sealed:
    """The datastore, every change of which is recorded in the transaction that makes it.

    Raises:
        InvalidSettings: keys that cannot be read.
        DatastoreBehind: a server database that misses migrations.
        Unavailable: the database does not answer.

    """
    keys = open_keys(settings.audit, clock.monotonic)
    if keys is None:
        # The key is in the very datastore that it is needed for.
        plain = await asyncio.to_thread(open_migrated, settings)
        try:
            keys = keys_of_datastore(await plain.secret("audit"))
        finally:
            await plain.close()
    sealing = open_sealing(settings.audit, keys)
    return Sealed(await asyncio.to_thread(open_migrated, settings, sealing.scribe), sealing)
