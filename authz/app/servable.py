"""Refuse to serve with settings that would be dangerous. Called by `run` before anything is opened."""

from __future__ import annotations

import sys

from authz.addresses import is_loopback
from authz.settings import InvalidSettings, Settings


def check_servable(settings: Settings) -> None:
    """Refuse settings that would be dangerous or that are not served yet.

    Raises:
        InvalidSettings: saying why.

    """
    if settings.workers > 1 and sys.platform != "linux":
        raise InvalidSettings(
            f"setting `workers`: {settings.workers} workers would share a port by SO_REUSEPORT, which spreads"
            f" connections on Linux alone: on {sys.platform} serve with 1, and start more services on other ports"
        )
    open_wide = next(
        (each for each in (settings.grpc_addr, settings.http_addr) if each and not is_loopback(each)), None
    )
    if settings.insecure or open_wide is None:
        return
    lacking = " and ".join(
        what
        for what, is_on in (("TLS", settings.tls.is_on), ("authentication", is_authenticated(settings)))
        if not is_on
    )
    if lacking:
        raise InvalidSettings(
            f"refusing to listen on `{open_wide}` beyond loopback without {lacking}: whoever reaches the port"
            " could listen in, or read and change who may do what; configure `tls` and `access`, listen on loopback, or"
            " say `--insecure`"
        )


def is_authenticated(settings: Settings) -> bool:
    """Whether callers must prove who they are; only then have they rights of their own."""
    access = settings.access
    return bool(access.issuers) or access.keys_file is not None or settings.tls.has_client_certificates
