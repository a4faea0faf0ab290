"""Put together what stands before the commands: who calls, how much, what is recorded. Called by `serving`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Protocol

from authz.access.authentication import Authenticator, Revocations, StrongRules
from authz.access.authorization import Authorizer, prepare_system_store
from authz.access.limits.building import build_limiter
from authz.access.limits.peers import PeerLimiter
from authz.app.noticing import noticing
from authz.app.servable import is_authenticated
from authz.audit.trail import AuditTrail
from authz.commands.directives import CAPTURE, REVOCATION, SUSPENSION
from authz.commands.services import Services
from authz.errors import Bug
from authz.rpc.edge import Edge, Guard
from authz.settings import Settings
from authz.telemetry import Meter, Telemetry, observe_audit, observe_directives

_ORDERS = (REVOCATION, SUSPENSION, CAPTURE)


@asynccontextmanager
async def open_edge(
    settings: Settings, services: Services, authorizer: Authorizer, trail: AuditTrail, telemetry: Telemetry
) -> AsyncIterator[Edge]:
    """The edge while the block runs: orders are followed, keys are fetched, behaviour is watched.

    Raises:
        InvalidSettings: a file that the settings name cannot be read.
        Unavailable: the datastore does not answer.

    """
    clock, directives, meter = services.clock, services.directives, telemetry.meter
    await directives.refresh()
    trail.captures.follow(directives)
    limiter = build_limiter(settings.limits, clock, settings.workers)
    peers = PeerLimiter(settings.limits, clock, settings.workers) if settings.limits.enabled else None
    observe_audit(meter, trail.recorder)
    observe_directives(meter, directives, _ORDERS)
    async with AsyncExitStack() as stack:
        if limiter is not None:
            stack.push_async_callback(limiter.close)
            meter.observe_source("authz.limits.failures", lambda: limiter.shared_failures)
        strong = StrongRules(settings.access, clock)
        authenticator = _authenticator(settings, services)
        caches: dict[str, _Cache] = {
            "decisions": services.indexes.tally,
            "rights": authorizer,
            "tokens": authenticator,
            "models": services.models,
        }
        _observe_memory(meter, services, caches)
        watching, guard = None, None
        # INVARIANT: who has no rights of its own is not asked who it is, and the other way round.
        if authenticator.enabled != is_authenticated(settings):
            raise Bug("it is not clear whether callers must prove who they are")
        if authenticator.enabled:
            await prepare_system_store(services)
            if settings.detection.enabled:
                watching = await stack.enter_async_context(
                    noticing(settings, clock, (directives, limiter, strong), meter)
                )
            failures = None if watching is None else watching.failures
            guard = Guard(authenticator, strong, failures, settings.tls.has_client_certificates)
            meter.observe_source("authz.keys.age", authenticator.key_ages)
            await _run(stack, authenticator.follow_forever())
        await _run(stack, directives.follow_forever())
        yield Edge(
            services,
            authorizer,
            trail.recorder,
            telemetry,
            detector=None if watching is None else watching.detector,
            guard=guard,
            peers=peers,
            limiter=limiter,
            costs=settings.limits.costs,
            deprecations=settings.deprecations,
            is_audit_sync=settings.audit.sync,
            raise_bugs=settings.raise_bugs,
            max_message_bytes=settings.max_message_bytes,
        )


def _authenticator(settings: Settings, services: Services) -> Authenticator:
    clock = services.clock
    revocations = Revocations(services.directives, clock, settings.access.revocation_max_age)
    takes_certificates = settings.tls.has_client_certificates
    return Authenticator(settings.access, revocations, clock, takes_certificates=takes_certificates)


class _Cache(Protocol):
    @property
    def hits(self) -> int: ...
    @property
    def misses(self) -> int: ...


def _observe_memory(meter: Meter, services: Services, caches: Mapping[str, _Cache]) -> None:
    indexes = services.indexes
    meter.observe_source("authz.index.stores", lambda: indexes.sizes().stores)
    meter.observe_source("authz.index.partial", lambda: indexes.sizes().partial)
    meter.observe_source("authz.index.tuples", lambda: indexes.sizes().tuples)
    meter.observe_source("authz.index.rows", lambda: indexes.sizes().rows)
    meter.observe_source("authz.index.rows.read", lambda: indexes.fetched)
    meter.observe_source("authz.index.size", lambda: indexes.sizes().bytes)
    meter.observe_source("authz.index.budget", lambda: indexes.budget)
    meter.observe_source("authz.index.lag", lambda: indexes.sizes().lag)
    meter.observe_source("authz.index.loads", lambda: indexes.loads)
    meter.observe_source("authz.index.revisions", lambda: indexes.revisions)
    meter.observe_source("authz.cache.hits", lambda: {name: each.hits for name, each in caches.items()})
    meter.observe_source("authz.cache.misses", lambda: {name: each.misses for name, each in caches.items()})


async def _run(stack: AsyncExitStack, work: Coroutine[Any, Any, None]) -> None:
    """Run something beside the calls until the stack is left."""
    task = asyncio.create_task(work)

    async def end() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    stack.push_async_callback(end)
