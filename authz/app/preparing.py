"""What is done once before several workers serve. Called by the first of them, before any of them listens."""

from __future__ import annotations

from authz.access.authorization import prepare_system_store
from authz.app.servable import is_authenticated
from authz.app.service import check_settings
from authz.app.services import build
from authz.app.trail import open_sealed
from authz.clock import SystemClock
from authz.settings import Settings


async def prepare(settings: Settings) -> None:
    """Check the settings, migrate an embedded database, make the keys that it keeps, and fill the system store.

    Raises:
        InvalidSettings: settings that must not be served with.
        DatastoreBehind: a server database that misses migrations.
        Unavailable: the database does not answer.

    """
    check_settings(settings)
    clock = SystemClock()
    sealed = await open_sealed(settings, clock)
    try:
        built = await build(settings, sealed.datastore, clock)
        if is_authenticated(settings):
            await prepare_system_store(built.services)
    finally:
        await sealed.datastore.close()
