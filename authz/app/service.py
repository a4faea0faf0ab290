"""Serve while a block runs. Called by `alone` and by tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from authz import __version__
from authz.access.authorization import Authorizer
from authz.app.edge import open_edge
from authz.app.listeners import Listeners
from authz.app.place import Place
from authz.app.sensible import check_sensible
from authz.app.servable import check_servable
from authz.app.services import build, token_key_file
from authz.app.trail import open_sealed
from authz.app.transports import check_transport, has_reflection, tell_transport
from authz.app.web import open_http, shows_metrics
from authz.audit.trail import AuditTrail
from authz.clock import Clock, SystemClock
from authz.commands.housekeeping import collect_forever
from authz.commands.services import Services
from authz.commands.tokens import TokenCodec
from authz.errors import Unavailable
from authz.rpc.deprecation import check_deprecations
from authz.rpc.edge import Edge, Guard
from authz.rpc.exchange import Method
from authz.rpc.ext_authz import check_gateway, gateway_methods
from authz.rpc.methods import methods_for
from authz.rpc.server import GrpcServer
from authz.rpc.tls import open_certificates, server_credentials
from authz.rpc.transport import Transport
from authz.settings import Settings
from authz.telemetry import Telemetry, check_telemetry, measured, observe_replica, open_telemetry
from authz.watched import LOOK_SECONDS

_CLOCK = SystemClock()


@dataclass(frozen=True, slots=True)
class Serving:
    """A service that answers."""

    listeners: Listeners
    services: Services
    telemetry: Telemetry
    trail: AuditTrail

    @property
    def grpc_address(self) -> str:
        """HOST:PORT."""
        return self.listeners.grpc_address

    @property
    def http_address(self) -> str:
        """HOST:PORT; empty when HTTP is not served."""
        return self.listeners.http_address


class _Stage:
    """Why the service takes no calls, for those who ask whether it is ready."""

    def __init__(self) -> None:
        self.why_not = "starting"

    def end(self) -> None:
        self.why_not = "draining"


@asynccontextmanager
async def serving(settings: Settings, clock: Clock = _CLOCK, *, place: Place | None = None) -> AsyncIterator[Serving]:
    """A service that answers while the block runs, and drains at its end.

    Args:
        settings: all of them.
        clock: the time; that of the machine unless a test sets another.
        place: which of several workers this is; None for a service of one process.

    Raises:
        InvalidSettings: settings that must not be served with.
        DatastoreBehind: a server database that misses migrations.
        Unavailable: the database does not answer, or the address cannot be opened.

    """
    check_settings(settings)
    async with AsyncExitStack() as stack:
        paths = [method.path for method in _methods(settings, None)]
        opening = open_telemetry(
            settings.telemetry,
            methods=paths,
            clock=clock,
            version=__version__,
            is_listening=place is None,
            is_shown=shows_metrics(settings),
        )
        telemetry = await stack.enter_async_context(opening)
        stage = _Stage()
        telemetry.readiness.check("serving", lambda: stage.why_not)
        services, authorizer, trail = await _open_services(settings, clock, telemetry, stack, place)
        edge = await stack.enter_async_context(open_edge(settings, services, authorizer, trail, telemetry))
        transport = await _transport(settings, edge, is_shared=place is not None)
        methods = _methods(settings, edge.guard)
        server = GrpcServer(edge, methods, transport)
        address = _listen(server, settings.grpc_addr)
        http, http_address = await open_http(settings, edge, methods, is_shared=place is not None)
        await server.start()
        listeners = Listeners(server, address, http, http_address)
        stack.push_async_callback(listeners.drain, settings.shutdown_grace)
        telemetry.readiness.probe("datastore", services.datastore.ping)
        telemetry.readiness.check("audit", lambda: "" if trail.recorder.is_healthy else "records cannot be written")
        stack.callback(stage.end)
        await server.ready()
        stage.why_not = ""
        yield Serving(listeners, services, telemetry, trail)


def check_settings(settings: Settings) -> None:
    """Refuse settings that cannot be served with, before anything is opened.

    Raises:
        InvalidSettings: saying why.

    """
    check_transport(settings)
    check_servable(settings)
    check_gateway(settings)
    methods = _methods(settings, None)
    check_sensible(settings, methods)
    check_telemetry(settings.telemetry, insecure=settings.insecure)
    check_deprecations(settings.deprecations, methods)


def _methods(settings: Settings, guard: Guard | None) -> Sequence[Method]:
    """Every call that the settings let be made."""
    return (*methods_for(settings.authzen.store), *gateway_methods(settings.ext_authz, guard))


async def _open_services(
    settings: Settings, clock: Clock, telemetry: Telemetry, stack: AsyncExitStack, place: Place | None
) -> tuple[Services, Authorizer, AuditTrail]:
    """Datastore, services and trail; closed in the order in which each needs the others."""
    sealed = await open_sealed(settings, clock)
    stack.push_async_callback(sealed.datastore.close)
    datastore = (
        measured(sealed.datastore, telemetry.meter, clock.monotonic) if _is_metered(settings) else sealed.datastore
    )
    if sealed.datastore.replica is not None:
        observe_replica(telemetry.meter, sealed.datastore.replica)
    signal = None if place is None else place.signal
    built = await build(settings, datastore, clock, sealed.sealing.redaction.in_filter, signal)
    turns = None if place is None else place.output
    trail = AuditTrail(settings.audit, sealed.sealing, datastore, clock, turns)
    stack.push_async_callback(trail.close)
    await trail.start()
    works: list[Coroutine[Any, Any, None]] = []
    if place is None or place.number == 1:
        window, interval = settings.history_window, settings.collection_interval
        retention = settings.changelog_retention
        works.append(collect_forever(datastore, clock, window=window, interval=interval, changelog_retention=retention))
    if settings.token_key_file is not None:
        works.append(_follow_token_keys(settings.token_key_file, built.tokens))
    for work in works:
        stack.callback(asyncio.create_task(work).cancel)
    return built.services, built.authorizer, trail


async def _follow_token_keys(path: Path, tokens: TokenCodec) -> None:
    keys = token_key_file(path)
    while True:
        tokens.use(*keys.value)
        await asyncio.sleep(LOOK_SECONDS)


def _is_metered(settings: Settings) -> bool:
    is_told = bool(settings.telemetry.metrics_addr) or settings.telemetry.metrics_push != "off"
    return is_told or shows_metrics(settings)


async def _transport(settings: Settings, edge: Edge, *, is_shared: bool) -> Transport:
    credentials = None
    if settings.tls.is_on:
        certificates = await asyncio.to_thread(open_certificates, settings.tls)
        edge.telemetry.meter.observe_source("authz.certificate.expiry.time", lambda: {"server": certificates.ends_at})
        credentials = await asyncio.to_thread(server_credentials, settings.tls, certificates)
    tell_transport(settings)
    admit = None if edge.peers is None else edge.peers.admit
    return Transport(settings.limits, credentials, has_reflection(settings, edge), admit, settings.transport, is_shared)


def _listen(server: GrpcServer, address: str) -> str:
    host = address.rpartition(":")[0]
    try:
        return f"{host}:{server.listen(address)}"
    except RuntimeError:
        raise Unavailable(f"cannot listen on `{address}`: the address is taken or not of this machine") from None
