"""Build everything below the edge from the settings. Called by `run`, by tests and by tools."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import NamedTuple

from authz.access.authorization import Authorizer
from authz.app.memory import memory_budget
from authz.app.servable import is_authenticated
from authz.audit.query import TrailRecords
from authz.clock import Clock, SystemClock
from authz.commands.directives import Directives
from authz.commands.limits import Limits
from authz.commands.registry import ModelRegistry
from authz.commands.services import Services
from authz.commands.tokens import TokenCodec
from authz.errors import InvalidRequest
from authz.index.registry import IndexRegistry
from authz.index.signal import Signal
from authz.settings import InvalidSettings, Settings
from authz.store.api import Datastore
from authz.store.sql import ReplicaOptions, SqlDatastore, check_replica, migrate_datastore, open_datastore
from authz.store.trail import RecordFilter, Scribe
from authz.watched import WatchedFile

MIN_KEY_BYTES = 16

_SQLITE = "sqlite:"


def open_migrated(settings: Settings, scribe: Scribe | None = None) -> SqlDatastore:
    """The datastore; `scribe` seals its changes, without one it is for a look: then there is no replica. Blocks.

    Raises:
        InvalidSettings: the URI, or what it names, is no datastore.
        DatastoreBehind: a server database that misses migrations.
        Unavailable: the database does not answer.

    """
    # An embedded database belongs to this program; a server database is migrated when its operator says so.
    try:
        if settings.datastore_uri.startswith(_SQLITE):
            migrate_datastore(settings.datastore_uri)
        return open_datastore(
            settings.datastore_uri,
            scribe,
            poll_interval=settings.poll_interval,
            replica=_replica(settings) if scribe else None,
        )
    except InvalidRequest as error:
        raise InvalidSettings(f"setting `datastore_uri`: {error.message}") from None


def _replica(settings: Settings) -> ReplicaOptions | None:
    chosen = settings.replica
    if not chosen.uri:
        return None
    try:
        check_replica(settings.datastore_uri, chosen.uri)
    except InvalidRequest as error:
        raise InvalidSettings(f"setting `replica.uri`: {error.message}") from None
    return ReplicaOptions(chosen.uri, chosen.max_lag, chosen.readers)


class Built(NamedTuple):
    """What the edge stands on."""

    services: Services
    authorizer: Authorizer
    tokens: TokenCodec


async def build_services(settings: Settings, datastore: Datastore) -> Services:
    """Everything below the edge, for tools that work without one."""
    return (await build(settings, datastore, SystemClock())).services


async def build(
    settings: Settings,
    datastore: Datastore,
    clock: Clock,
    hide: Callable[[RecordFilter], RecordFilter] | None = None,
    signal: Signal | None = None,
) -> Built:
    """Everything below the edge, and who may do what there; `hide` redacts what records are asked for, `signal` is that
    between the workers of one host.

    Raises:
        InvalidSettings: a file that the settings name cannot be read.

    """
    limits = build_limits(settings)
    tokens = TokenCodec(*await _token_keys(settings, datastore))
    indexes = IndexRegistry(
        datastore,
        tokens.decode,
        signal,
        budget=memory_budget(settings.index.budget, settings.workers),
        decisions=settings.index.decisions,
    )
    # SQLite tells of every commit before an answer depends on it; a notification between hosts may come later, and then
    # the newest model may be as old as any answer about tuples.
    lag = inf if settings.datastore_uri.startswith(_SQLITE) else settings.poll_interval
    models = ModelRegistry(datastore, indexes, capacity=limits.cached_models, workers=signal, lag=lag)
    admins, enabled = frozenset(settings.access.admins), is_authenticated(settings)
    rights = Authorizer(indexes, models, clock, admins=admins, enabled=enabled)
    records = TrailRecords(datastore, hide or (lambda wanted: wanted), clock)
    directives = Directives(datastore, clock, signal)
    services = Services(datastore, models, indexes, tokens, clock, limits, directives, rights, records)
    return Built(services, rights, tokens)


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
        max_evaluations=settings.authzen.max_evaluations,
        max_found=settings.authzen.max_page_size,
        actions=settings.authzen.actions,
        changelog_horizon=settings.changelog_horizon,
        changelog_retention=settings.changelog_retention,
        max_token_lifetime=_max_token_lifetime(settings),
        issuers=frozenset(each.name for each in settings.access.issuers),
    )


def _max_token_lifetime(settings: Settings) -> float:
    """From the moment at which a token is revoked until the last at which it could be accepted."""
    # A token may be issued by a clock that is ahead, and be accepted by one that is behind.
    return max((each.max_lifetime + 2 * each.leeway for each in settings.access.issuers), default=3600.0)


async def _token_keys(settings: Settings, datastore: Datastore) -> tuple[bytes, ...]:
    if settings.token_key is not None:
        return (settings.token_key.get_secret_value().encode(),)
    if settings.token_key_file is not None:
        return token_key_file(settings.token_key_file).value
    return (await datastore.secret("tokens"),)


def token_key_file(path: Path) -> WatchedFile[tuple[bytes, ...]]:
    """The keys of tokens in a file, the one that signs first.

    Raises:
        InvalidSettings: the file cannot be read, or holds no keys.

    """
    try:
        return WatchedFile(path, _parse_token_keys)
    except OSError as error:
        why = (error.strerror or "unreadable").lower()
        raise InvalidSettings(f"setting `token_key_file`: cannot read `{path}`: {why}") from None
    except ValueError as error:
        raise InvalidSettings(f"setting `token_key_file`: {error}") from None


def _parse_token_keys(raw: bytes) -> tuple[bytes, ...]:
    keys = tuple(filter(None, (line.strip() for line in raw.splitlines())))
    if not keys or min(map(len, keys)) < MIN_KEY_BYTES:
        raise ValueError(f"a file of token keys holds one a line, each of at least {MIN_KEY_BYTES} bytes")
    return keys
