"""The operator's pages: `/metrics`, `/livez`, `/readyz`. Served by `listener`; those of a worker by its supervisor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import orjson

from authz.telemetry.listener import Answer, Page
from authz.telemetry.merging import dump_families

if TYPE_CHECKING:
    from authz.telemetry.loop import LoopMonitor
    from authz.telemetry.meter import Meter
    from authz.telemetry.readiness import Readiness

FAMILIES = "/families"
"""The page of a worker that its supervisor makes `/metrics` of."""

JSON = "application/json"
_OK, _UNAVAILABLE = 200, 503


def pages_of(meter: Meter, readiness: Readiness, monitor: LoopMonitor, max_lag: float) -> Mapping[str, Page]:
    """The pages by their path.

    `/livez` asks only whether the event loop turns: a process that is alive and cannot answer, because its datastore is
    away, must not be restarted for that. That is what `/readyz` tells.
    """
    from authz.telemetry.prometheus import Exposition

    exposition = Exposition(meter)

    async def metrics(accept: str) -> Answer:
        content_type, text = exposition.render(accept)
        return Answer(_OK, content_type, text)

    return {"/metrics": metrics, **_health_of(readiness, monitor, max_lag)}


def worker_pages_of(meter: Meter, readiness: Readiness, monitor: LoopMonitor, max_lag: float) -> Mapping[str, Page]:
    """The pages that a worker gives to its supervisor: `FAMILIES` instead of `/metrics`."""

    async def families(_accept: str) -> Answer:
        return Answer(_OK, JSON, dump_families(meter.collect()))

    return {FAMILIES: families, **_health_of(readiness, monitor, max_lag)}


def _health_of(readiness: Readiness, monitor: LoopMonitor, max_lag: float) -> Mapping[str, Page]:
    async def live(_accept: str) -> Answer:
        late = monitor.lateness
        return json_page({"live": late <= max_lag, "late_seconds": round(late, 3)}, is_fine=late <= max_lag)

    async def ready(_accept: str) -> Answer:
        state = await readiness.state()
        is_ready = not any(state.values())
        checks = {name: why or "ok" for name, why in state.items()}
        return json_page({"ready": is_ready, "checks": checks}, is_fine=is_ready)

    return {"/livez": live, "/readyz": ready}


def json_page(body: object, *, is_fine: bool) -> Answer:
    """A page about health."""
    return Answer(_OK if is_fine else _UNAVAILABLE, JSON, orjson.dumps(body))
