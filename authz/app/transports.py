"""Refuse settings that promise what the chosen transport cannot keep, and tell once what it leaves open. Called by
`service` before anything is opened.

What the native transport (pygrpc-native 0.5) lacks was found by trying it: see the tests that are of grpcio alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

import structlog

from authz.addresses import is_loopback
from authz.rpc.edge import Edge
from authz.settings import InvalidSettings, Settings

UNBOUNDED = (
    "max_connections",
    "connection_age",
    "connection_age_grace",
    "connection_idle",
    "min_ping_interval",
    "handshake_timeout",
)
"""Settings of `limits` that the native transport does not hold anybody to."""

_PACKAGE = "pygrpc_native"
_LEFT_OPEN = (
    "its callers are trusted: whoever reaches the port may open any number of connections, send a request as slowly as"
    " he likes, and have any amount of it, unpacked, held in memory before `max_message_bytes` is looked at; calls of"
    " methods that do not exist are refused without a record"
)

_log = structlog.get_logger(__name__)


def check_transport(settings: Settings) -> None:
    """Hold the settings to what the transport can keep.

    Raises:
        InvalidSettings: naming the setting, saying why.

    """
    if settings.transport == "grpcio":
        return
    if find_spec(_PACKAGE) is None:
        raise InvalidSettings(
            'setting `transport`: `native` needs a package that is not installed: pip install "authz-service[native]"'
        )
    for name in _promises(settings):
        raise InvalidSettings(
            f"setting `{name}`: `transport = native` cannot keep it: leave it out, or use `transport = grpcio`"
        )
    if not settings.insecure and not is_loopback(settings.grpc_addr):
        raise InvalidSettings(
            f"setting `transport`: refusing to listen on `{settings.grpc_addr}` beyond loopback: `native` speaks no TLS"
            " and bounds little of what reaches it: listen on loopback behind a proxy that does, use"
            " `transport = grpcio`, or say `--insecure`"
        )


def has_reflection(settings: Settings, edge: Edge) -> bool:
    """Whether everybody may read the interface from the server."""
    if settings.transport == "native":
        return False
    return settings.reflection == "on" or (settings.reflection == "auto" and edge.guard is None)


def tell_transport(settings: Settings) -> None:
    """Say in the log what is weaker by nature."""
    if settings.transport == "native":
        unbounded = [f"limits.{name}" for name in UNBOUNDED]
        _log.warning("native_transport", left_open=_LEFT_OPEN, not_held=unbounded)


def _promises(settings: Settings) -> Iterator[str]:
    """Every setting that asks for what native lacks, by its name."""
    access = settings.access
    if settings.tls.is_on:
        yield "tls.cert_file"
    if access.certificates:
        yield "access.certificates"
    for place, issuer in enumerate(access.issuers):
        if issuer.certificate_bound == "required":
            yield f"access.issuers.{place}.certificate_bound"
    if settings.reflection == "on":
        yield "reflection"
    for name in UNBOUNDED:
        if name in settings.limits.model_fields_set:
            yield f"limits.{name}"
