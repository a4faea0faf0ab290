"""Where the servers are, and how they are spoken to: addresses, TLS, options of gRPC.

Used by both clients to connect.
"""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc

from authz import __version__
from authz.addresses import is_loopback

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_ANSWER_BYTES = 64 * 1024 * 1024
_KEEPALIVE_MS = 30_000
_KEEPALIVE_TIMEOUT_MS = 10_000
_FIRST_RECONNECT_MS = 100
_LAST_RECONNECT_MS = 5_000
_ROUND_ROBIN = json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})


@dataclass(frozen=True, slots=True)
class Tls:
    """How servers prove who they are, and this program to them. All parts are PEM.

    `ca` is the authority of the servers, else those that grpc trusts; `cert` and `key` are for mutual TLS;
    `server_name` is the name in the servers' certificate when they are called by address.
    """

    ca: bytes | None = None
    cert: bytes | None = None
    key: bytes | None = field(default=None, repr=False)
    server_name: str = ""

    def __post_init__(self) -> None:
        if (self.cert is None) != (self.key is None):
            raise ValueError("mutual TLS needs both `cert` and `key`")


@dataclass(frozen=True, slots=True)
class Target:
    """One or several servers of one service."""

    name: str
    """What grpc connects to."""
    shown: str
    """The same for messages."""
    is_local: bool
    """Whether nothing leaves this machine."""


def target_of(address: str | Sequence[str]) -> Target:
    """Read an address: `HOST:PORT`, any target of grpc (`dns:///…`, `unix:…`), or a list of `IP:PORT`.

    Raises:
        ValueError: no address, or a list that grpc cannot connect to.

    """
    addresses = [address] if isinstance(address, str) else list(address)
    if not addresses or not all(addresses):
        raise ValueError("the client needs the address of a server, as `HOST:PORT`")
    shown = ", ".join(addresses)
    if len(addresses) == 1:
        name = addresses[0]
        is_local = name.startswith(("unix:", "unix-abstract:")) or is_loopback(name.removeprefix("dns:///"))
        return Target(name, shown, is_local)
    versions = {_version(each) for each in addresses}
    if len(versions) > 1:
        raise ValueError(f"`{shown}` mixes IPv4 and IPv6: name the servers by one DNS name instead")
    return Target(f"ipv{versions.pop()}:{','.join(addresses)}", shown, all(is_loopback(each) for each in addresses))


def credentials_of(tls: Tls) -> grpc.ChannelCredentials:
    """TLS for a channel."""
    return grpc.ssl_channel_credentials(tls.ca, tls.key, tls.cert)


def check_clear(target: Target, tls: Tls | None, *, has_token: bool, insecure: bool) -> None:
    """Refuse to speak in clear text beyond this machine: tokens could be read, and answers forged.

    Raises:
        ValueError: that would happen. `insecure` allows it where there is no token to lose.

    """
    if tls is not None or target.is_local:
        return
    if has_token:
        raise ValueError(f"refusing to send tokens to `{target.shown}` in clear text: give `tls=Tls(…)`")
    if not insecure:
        raise ValueError(
            f"refusing to trust what `{target.shown}` says in clear text: give `tls=Tls(…)`,"
            " or `insecure=True` where the network itself is protected"
        )


def options_of(tls: Tls | None) -> list[tuple[str, Any]]:
    """Options of a channel: one connection to each server, in turns; retries are ours."""
    options: list[tuple[str, Any]] = [
        ("grpc.service_config", _ROUND_ROBIN),
        ("grpc.service_config_disable_resolution", 1),
        ("grpc.primary_user_agent", f"authz-client/{__version__}"),
        ("grpc.max_receive_message_length", MAX_ANSWER_BYTES),
        ("grpc.enable_http_proxy", 0),
        ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", _KEEPALIVE_TIMEOUT_MS),
        ("grpc.initial_reconnect_backoff_ms", _FIRST_RECONNECT_MS),
        ("grpc.max_reconnect_backoff_ms", _LAST_RECONNECT_MS),
    ]
    if tls is not None and tls.server_name:
        options.append(("grpc.ssl_target_name_override", tls.server_name))
    return options


def _version(address: str) -> int:
    host = address.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).version
    except ValueError:
        raise ValueError(f"`{address}` is not of the form IP:PORT: several servers are named by one DNS name") from None
