"""The operator's pages: `/metrics`, `/livez`, `/readyz`. Served by `listener`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import orjson

from authz.telemetry.listener import Answer, Page
from authz.telemetry.prometheus import Exposition

if TYPE_CHECKING:
    from authz.telemetry.loop import LoopMonitor
    from authz.telemetry.meter import Meter
    from authz.telemetry.readiness import Readiness

_OK, _UNAVAILABLE = 200, 503


def pages_of(meter: Meter, readiness: Readiness, monitor: LoopMonitor, max_lag: float) -> Mapping[str, Page]:
    """The pages by their path.

    `/livez` asks only whether the event loop turns: a process that is alive and cannot answer, because its datastore is
    away, must not be restarted for that. That is what `/readyz` tells.
    """
    exposition = Exposition(meter)

    async def metrics(accept: str) -> Answer:
        content_type, text = exposition.render(accept)
        return Answer(_OK, content_type, text)

    async def live(_accept: str) -> Answer:
        late = monitor.lateness
        return _json({"live": late <= max_lag, "late_seconds": round(late, 3)}, is_fine=late <= max_lag)

    async def ready(_accept: str) -> Answer:
        state = await readiness.state()
        is_ready = not any(state.values())
        checks = {name: why or "ok" for name, why in state.items()}
        return _json({"ready": is_ready, "checks": checks}, is_fine=is_ready)

    return {"/metrics": metrics, "/livez": live, "/readyz": ready}


def _json(body: object, *, is_fine: bool) -> Answer:
    return Answer(_OK if is_fine else _UNAVAILABLE, "application/json", orjson.dumps(body))
