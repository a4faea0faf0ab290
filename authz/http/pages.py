"""What is served beside the calls: health, readiness, metrics, the interface. Made by `application`.

Health and readiness are for those who route requests, and say nothing of the store's contents; everybody may ask.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import orjson

if TYPE_CHECKING:
    from authz.rpc.edge import Gate
    from authz.telemetry import Telemetry

OK, NOT_FOUND, UNAVAILABLE = 200, 404, 503
JSON = "application/json"


class Shown(NamedTuple):
    """What a page shows."""

    status: int
    content_type: str
    body: bytes
    max_age: int = 0
    """For how many seconds it may be kept; 0: not at all."""
    retry_after: int = 0
    """After how many seconds to ask again; 0: that is not said."""


Page = Callable[[str], Awaitable[Shown]]
"""Answers a GET, given the header `accept`."""


def pages_of(telemetry: Telemetry, gate: Gate, *, has_metrics: bool) -> dict[str, Page]:
    """The pages by their path.

    Args:
        telemetry: of the process.
        gate: whether calls are welcome.
        has_metrics: whether whoever reaches the port may see loads and sizes.

    """

    async def health(_accept: str) -> Shown:
        # As OpenFGA says it.
        state = "SERVING" if gate.is_open else "NOT_SERVING"
        return shown_json({"status": state}, OK if gate.is_open else UNAVAILABLE)

    async def ready(_accept: str) -> Shown:
        state = await telemetry.readiness.state()
        is_ready = not any(state.values())
        checks = {name: why or "ok" for name, why in state.items()}
        return shown_json({"ready": is_ready, "checks": checks}, OK if is_ready else UNAVAILABLE)

    found: dict[str, Page] = {"/healthz": health, "/readyz": ready}
    if has_metrics:
        found["/metrics"] = _metrics(telemetry)
    return found


def fixed(body: Mapping[str, object]) -> Page:
    """A page that always shows the same JSON."""
    shown = shown_json(body)

    async def show(_accept: str) -> Shown:
        return shown

    return show


def shown_json(body: Mapping[str, object], status: int = OK) -> Shown:
    """A page of JSON."""
    return Shown(status, JSON, orjson.dumps(body))


def _metrics(telemetry: Telemetry) -> Page:
    async def metrics(accept: str) -> Shown:
        page = telemetry.pages.get("/metrics")
        if page is None:
            why = "each of several workers knows its own metrics alone: `telemetry.metrics_addr` serves those of all"
            return shown_json({"code": "undefined_endpoint", "message": why}, NOT_FOUND)
        return Shown(*await page(accept))

    return metrics
