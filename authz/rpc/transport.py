"""How the server listens, and the bounds of the transport: what grpc refuses or cuts by itself, before our chain sees
it. Made by `app`, used by `server`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import grpc

from authz.settings.limits import LimitsSettings

_MILLIS = 1000
_MAX_PING_STRIKES = 2
_MAX_PENDING = 4096
"""How many calls may wait for the event loop; what they may hold of memory is this times their metadata."""


@dataclass(frozen=True, slots=True)
class Transport:
    """What the server needs to know beneath the chain."""

    limits: LimitsSettings = field(default_factory=LimitsSettings)
    credentials: grpc.ServerCredentials | None = None
    """Of TLS; None for clear text."""
    has_reflection: bool = False
    """Whether everybody may read the interface from the server."""
    admit_peer: Callable[[str], float | None] | None = None
    """Says how many seconds an address must wait; for calls outside the chain."""
    kind: Literal["grpcio", "native"] = "grpcio"
    """Which library takes calls off the wire."""
    reuse_port: bool = False
    """Whether other processes may listen on the same port (SO_REUSEPORT)."""


def channel_options(
    limits: LimitsSettings, max_message_bytes: int, *, reuse_port: bool = False
) -> list[tuple[str, int]]:
    """The options of a server: sizes, streams, connections, and how long a silent or slow peer may stay."""
    return [
        ("grpc.max_receive_message_length", max_message_bytes),
        # The same for both, for between them grpc refuses at random.
        ("grpc.max_metadata_size", limits.max_metadata_bytes),
        ("grpc.absolute_max_metadata_size", limits.max_metadata_bytes),
        # What grpc calls overload protection stays on: it refuses some of a burst that is larger than this, yet without
        # it eight peers that begin calls and reset them had most calls of others dropped, however small this was.
        ("grpc.max_concurrent_streams", limits.max_concurrent_streams),
        ("grpc.max_allowed_incoming_connections", limits.max_connections),
        ("grpc.max_connection_age_ms", millis(limits.connection_age)),
        ("grpc.max_connection_age_grace_ms", millis(limits.connection_age_grace)),
        ("grpc.max_connection_idle_ms", millis(limits.connection_idle)),
        ("grpc.keepalive_time_ms", millis(limits.keepalive_time)),
        ("grpc.keepalive_timeout_ms", millis(limits.keepalive_timeout)),
        # Without this a ping that nobody answers is waited for a minute, whatever the timeout above.
        ("grpc.http2.ping_timeout_ms", millis(limits.keepalive_timeout)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", millis(limits.min_ping_interval)),
        ("grpc.http2.max_ping_strikes", _MAX_PING_STRIKES),
        ("grpc.server_handshake_timeout_ms", millis(limits.handshake_timeout)),
        ("grpc.http2.settings_timeout", millis(limits.handshake_timeout)),
        # Beyond the first grpc drops calls at random, those of good callers too, and beyond the second all: by default
        # 1000 and 3000, which some ten connections fill.
        ("grpc.server.max_pending_requests", _MAX_PENDING),
        ("grpc.server.max_pending_requests_hard_limit", 2 * _MAX_PENDING),
        ("grpc.so_reuseport", int(reuse_port)),
    ]


def millis(seconds: float) -> int:
    """Seconds as grpc wants them: at least one millisecond, at most what its integers hold."""
    return max(1, min(round(seconds * _MILLIS), 2**31 - 1))
