"""The operator's pages of a service of several workers: what all of them answer, as one. Served by `supervisor`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import TypeVar

import orjson

from authz.app.crew import Crew
from authz.app.link import Link, PageAnswer
from authz.telemetry.listener import Answer, Page
from authz.telemetry.merging import load_families, merge
from authz.telemetry.meter import Meter
from authz.telemetry.pages import FAMILIES, json_page
from authz.telemetry.prometheus import Exposition

SUPERVISOR = "supervisor"
"""The label of the supervisor's own numbers."""
PATIENCE_SECONDS = 3.0
"""How long a worker may take to answer; a probe of its own may take two."""
_OK = 200

T = TypeVar("T")


class Overview:
    """Pages of a crew. They run on the event loop of the listener, and ask on the one that the crew is used on."""

    def __init__(self, crew: Crew, meter: Meter) -> None:
        self._crew = crew
        self._meter = meter
        self._loop = asyncio.get_running_loop()
        meter.observe_source(
            "authz.worker.restarts", lambda: {_name(each.number): each.restarts for each in crew.members}
        )
        meter.observe_source("authz.worker.ready", self._ready)

    def pages(self) -> Mapping[str, Page]:
        """The pages by their path."""
        return {"/metrics": self._metrics, "/livez": self._live, "/readyz": self._check}

    async def _metrics(self, accept: str) -> Answer:
        answers = await self._on_loop(self._ask(FAMILIES))
        parts = {
            _name(number): load_families(answer.body.encode())
            for number, answer in answers.items()
            if answer is not None and answer.status == _OK
        }
        content_type, text = Exposition(merge({SUPERVISOR: self._meter.collect(), **parts})).render(accept)
        return Answer(_OK, content_type, text)

    async def _live(self, _accept: str) -> Answer:
        """Whether all that serve turn their event loops; those that are being started again are not asked."""
        late, silent = 0.0, []
        for number, answer in (await self._on_loop(self._ask("/livez"))).items():
            if answer is None:
                silent.append(number)
            else:
                found = orjson.loads(answer.body)
                late = max(late, found["late_seconds"])
                if not found["live"]:
                    silent.append(number)
        return json_page({"live": not silent, "late_seconds": late, "stuck_workers": silent}, is_fine=not silent)

    async def _check(self, _accept: str) -> Answer:
        """Every check of every worker."""
        answers = await self._on_loop(self._ask("/readyz"))
        reasons: dict[str, list[str]] = {"workers": []}
        for member in self._crew.members:
            answer = answers.get(member.number)
            if answer is None:
                reasons["workers"].append(f"worker {member.number}: not ready")
                continue
            for name, why in orjson.loads(answer.body)["checks"].items():
                reasons.setdefault(name, []).extend([] if why == "ok" else [f"worker {member.number}: {why}"])
        checks = {name: "; ".join(those) or "ok" for name, those in reasons.items()}
        is_ready = not any(reasons.values())
        return json_page({"ready": is_ready, "checks": checks}, is_fine=is_ready)

    async def _ask(self, path: str) -> dict[int, PageAnswer | None]:
        """What the workers answer that are ready, by number; None for one that does not in time."""
        links = [link for link in self._crew.links() if link.is_ready]
        answers = await asyncio.gather(*(_patiently(link, path) for link in links))
        return {link.number: answer for link, answer in zip(links, answers, strict=True)}

    async def _on_loop(self, work: Awaitable[T]) -> T:
        async def run() -> T:
            return await work

        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(run(), self._loop))

    def _ready(self) -> dict[str, float]:
        return {_name(each.number): float(each.link is not None and each.link.is_ready) for each in self._crew.members}


async def _patiently(link: Link, path: str) -> PageAnswer | None:
    try:
        return await asyncio.wait_for(link.page(path), PATIENCE_SECONDS)
    except TimeoutError:
        return None


def _name(number: int) -> str:
    return str(number)
