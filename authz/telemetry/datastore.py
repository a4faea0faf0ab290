"""Measure every call of the datastore, by operation. Put around it by `app`; what is inside knows nothing of it."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast

from authz.errors import AuthzError, Kind
from authz.telemetry.buckets import Buckets
from authz.telemetry.catalogue import DATASTORE_SECONDS

if TYPE_CHECKING:
    from authz.store.api import Datastore
    from authz.telemetry.meter import Meter

_FAILURES = frozenset({Kind.UNAVAILABLE, Kind.ABORTED, Kind.INTERNAL, Kind.DEADLINE})
"""What says something about the datastore; other errors are answers to a caller."""


def measured(datastore: Datastore, meter: Meter, monotonic: Callable[[], float]) -> Datastore:
    """The same datastore, its coroutines timed on the event loop: waiting for a thread and a connection counts."""
    outside = _Measured(datastore, monotonic)
    meter.observe_source(
        "authz.datastore.duration", lambda: {name: buckets.read() for name, buckets in outside.durations.items()}
    )
    meter.observe_source("authz.datastore.errors", lambda: outside.failures)
    return cast("Datastore", outside)


class _Measured:
    """Stands for a datastore; each method is wrapped when it is first used."""

    def __init__(self, datastore: Datastore, monotonic: Callable[[], float]) -> None:
        self._datastore = datastore
        self._monotonic = monotonic
        self.durations: dict[str, Buckets] = {}
        self.failures: dict[tuple[str, str], int] = {}

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._datastore, name)
        made = self._timed(name, found) if inspect.iscoroutinefunction(found) else found
        if callable(found):
            setattr(self, name, made)  # the next use finds it without this detour
        return made

    def _timed(self, name: str, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        monotonic = self._monotonic
        buckets = self.durations.setdefault(name, Buckets(DATASTORE_SECONDS))

        async def timed(*args: Any, **kwargs: Any) -> Any:
            started = monotonic()
            try:
                return await call(*args, **kwargs)
            except Exception as error:
                self._fail(name, error)
                raise
            finally:
                buckets.record(monotonic() - started)

        return timed

    def _fail(self, name: str, error: Exception) -> None:
        if isinstance(error, AuthzError) and error.kind not in _FAILURES:
            return
        key = name, error.reason if isinstance(error, AuthzError) else "internal_error"
        self.failures[key] = self.failures.get(key, 0) + 1
