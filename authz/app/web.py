"""Open and close the HTTP listener of a process. Called by `service`; the supervisor asks what to do without a port."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

import structlog

from authz.app.authzen import build_configuration
from authz.app.servable import is_authenticated
from authz.errors import Unavailable

if TYPE_CHECKING:
    from authz.http.server import HttpServer
    from authz.rpc.edge import Edge
    from authz.rpc.exchange import Method
    from authz.settings import Settings

_log = structlog.get_logger(__name__)


def shows_metrics(settings: Settings) -> bool:
    """Whether `/metrics` is served beside the calls."""
    chosen = settings.web.metrics
    return bool(settings.http_addr) and (chosen == "on" or (chosen == "auto" and not is_authenticated(settings)))


def do_without(settings: Settings, error: Unavailable) -> None:
    """Go on without HTTP when its address is taken and nobody has asked for it; else raise the error."""
    if "http_addr" in settings.model_fields_set:
        raise error
    _log.warning("http_not_served", why=f"{error.message}, the default: name another with `--http-addr`")


async def open_http(
    settings: Settings, edge: Edge, methods: Sequence[Method], *, is_shared: bool
) -> tuple[HttpServer | None, str]:
    """The HTTP server, which answers, and HOST:PORT; nothing where it is not served.

    Raises:
        InvalidSettings: the files of TLS cannot be used.
        Unavailable: the address is taken or cannot be opened.

    """
    if not settings.http_addr:
        return None, ""
    from authz.http.pages import pages_of
    from authz.http.server import HttpServer, HttpTransport
    from authz.http.tls import FollowingContext

    following = await asyncio.to_thread(FollowingContext, settings.tls) if settings.tls.is_on else None
    tls = None if following is None else following.context
    transport = HttpTransport(settings.web, settings.limits, tls, reuse_port=is_shared)
    pages = pages_of(edge.telemetry, edge.gate, has_metrics=shows_metrics(settings))
    server = HttpServer(edge, methods, pages, transport)
    host = settings.http_addr.rpartition(":")[0]
    try:
        address = f"{host}:{server.listen(settings.http_addr)}"
    except OSError:
        do_without(settings, Unavailable(f"cannot listen on `{settings.http_addr}`: the address is taken or not here"))
        return None, ""
    scheme = "http" if tls is None else "https"
    public_url = settings.web.public_url or f"{scheme}://{address}"
    server.configuration = build_configuration(settings, edge.services.clock, public_url)
    await server.start()
    return server, address
