"""Build the service from its settings and serve it. The only place that builds things; called by `cli` and tests."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_address

import structlog
import uvloop

from authz.clock import SystemClock
from authz.commands.housekeeping import collect_forever
from authz.commands.limits import Limits
from authz.commands.registry import ModelRegistry
from authz.commands.services import Services
from authz.commands.tokens import TokenCodec
from authz.errors import AuthzError, Unavailable
from authz.index.registry import IndexRegistry
from authz.logs import configure_logs
from authz.rpc.edge import Edge
from authz.rpc.server import GrpcServer
from authz.settings import InvalidSettings, Settings
from authz.store.api import Datastore
from authz.store.sql import masked, migrate_datastore, open_datastore

DONE, FORCED, USAGE, SERVICE_ERROR = 0, 1, 2, 3
"""Exit codes of `run`."""

SWITCH_SECONDS = 0.001
"""How long a question on a thread may keep the event loop from its turn; Python's own 5 ms show in every short call."""

_SQLITE = "sqlite:"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Serving:
    """A service that answers."""

    grpc_address: str
    services: Services
    server: GrpcServer


def run(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code. Blocks, and installs signal handlers.

    The first signal drains: no new calls, running ones end within the grace. A second one ends them at once.
    """
    configure_logs(settings.log_format, settings.log_level)
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        return uvloop.run(_serve_until_signal(settings))
    except InvalidSettings as error:
        return _refuse(str(error), USAGE)
    except AuthzError as error:
        return _refuse(error.message, SERVICE_ERROR)


serve = run
"""What `authz serve` calls."""


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[Serving]:
    """A service that answers while the block runs, and drains at its end.

    Raises:
        InvalidSettings: settings that must not be served with.
        DatastoreBehind: a server database that misses migrations.
        Unavailable: the database does not answer, or the address cannot be opened.

    """
    check_servable(settings)
    datastore = await asyncio.to_thread(_open_datastore, settings)
    try:
        services = await build_services(settings, datastore)
        server = GrpcServer(Edge(services, settings.raise_bugs, settings.max_message_bytes))
        address = _listen(server, settings.grpc_addr)
        await server.start()
        housekeeping = asyncio.create_task(
            collect_forever(
                datastore, services.clock, window=settings.history_window, interval=settings.collection_interval
            )
        )
        try:
            await server.ready()
            yield Serving(address, services, server)
        finally:
            housekeeping.cancel()
            await server.drain(settings.shutdown_grace)
    finally:
        await datastore.close()


async def build_services(settings: Settings, datastore: Datastore) -> Services:
    """Everything below the edge."""
    limits = build_limits(settings)
    clock = SystemClock()
    tokens = TokenCodec(await _token_key(settings, datastore))
    indexes = IndexRegistry(datastore, tokens.decode)
    # SQLite tells of every commit before an answer depends on it; a notification between hosts may come later.
    signal_ = indexes if settings.datastore_uri.startswith(_SQLITE) else None
    models = ModelRegistry(datastore, signal_, capacity=limits.cached_models)
    return Services(datastore, models, indexes, tokens, clock, limits)


def build_limits(settings: Settings) -> Limits:
    """The limits that settings choose."""
    return Limits(
        max_tuples_per_write=settings.max_tuples_per_write,
        max_condition_context_bytes=settings.max_condition_context_bytes,
        max_types_per_model=settings.max_types_per_authorization_model,
        max_model_bytes=settings.max_authorization_model_size_in_bytes,
        max_checks_per_batch=settings.max_checks_per_batch_check,
        request_timeout=settings.request_timeout,
        list_objects_deadline=settings.list_objects_deadline,
        list_objects_max_results=settings.list_objects_max_results,
        list_users_deadline=settings.list_users_deadline,
        list_users_max_results=settings.list_users_max_results,
        changelog_horizon=settings.changelog_horizon,
    )


def check_servable(settings: Settings) -> None:
    """Refuse settings that would be dangerous or that are not served yet.

    Raises:
        InvalidSettings: saying why.

    """
    if settings.workers > 1:
        raise InvalidSettings(f"setting `workers`: one process serves for now, got {settings.workers}")
    if not settings.insecure and not _is_loopback(settings.grpc_addr):
        raise InvalidSettings(
            f"refusing to listen on `{settings.grpc_addr}`: beyond loopback, without TLS and authentication, anybody"
            " who reaches the port could read and change who may do what; listen on loopback, or say `--insecure`"
        )


async def _serve_until_signal(settings: Settings) -> int:
    signals = _Signals()
    async with serving(settings) as service:
        _log.info("serving", grpc_addr=service.grpc_address, datastore=masked(settings.datastore_uri))
        print(f"ready grpc={service.grpc_address} http=off", file=sys.stderr, flush=True)  # noqa: T201 - a promise to scripts
        await signals.first.wait()
        _log.info("draining", grace_seconds=settings.shutdown_grace)
        forced = asyncio.create_task(_force_at_second(signals, service.server))
    forced.cancel()
    _log.info("stopped", forced=signals.second.is_set())
    return FORCED if signals.second.is_set() else DONE


async def _force_at_second(signals: _Signals, server: GrpcServer) -> None:
    await signals.second.wait()
    await server.drain(0)


class _Signals:
    """Two events for SIGTERM and SIGINT: the first such signal, and one more."""

    def __init__(self) -> None:
        self.first = asyncio.Event()
        self.second = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._arrived)

    def _arrived(self) -> None:
        (self.second if self.first.is_set() else self.first).set()


def _open_datastore(settings: Settings) -> Datastore:
    # An embedded database belongs to this program; a server database is migrated when its operator says so.
    if settings.datastore_uri.startswith(_SQLITE):
        migrate_datastore(settings.datastore_uri)
    return open_datastore(settings.datastore_uri)


def _listen(server: GrpcServer, address: str) -> str:
    host = address.rpartition(":")[0]
    try:
        return f"{host}:{server.listen(address)}"
    except RuntimeError:
        raise Unavailable(f"cannot listen on `{address}`: the address is taken or not of this machine") from None


async def _token_key(settings: Settings, datastore: Datastore) -> bytes:
    if settings.token_key is not None:
        return settings.token_key.get_secret_value().encode()
    return await datastore.secret("tokens")


def _is_loopback(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _refuse(message: str, code: int) -> int:
    print(f"error: {message}", file=sys.stderr)  # noqa: T201 - for the operator, whatever the log level
    return code
