"""Tell callers that a call is going away, and refuse it once it is gone. A step of the chain.

The metadata are those of RFC 9745 (`deprecation`), RFC 8594 (`sunset`) and RFC 8288 (`link`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from email.utils import format_datetime
from typing import TYPE_CHECKING

import grpc

from authz.rpc.exchange import Exchange, Failure, Method, Proceed
from authz.settings.types import InvalidSettings

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from authz.rpc.edge import Edge
    from authz.settings.deprecations import Deprecation

DEPRECATION, SUNSET, LINK = "deprecation", "sunset", "link"


def check_deprecations(entries: Mapping[str, Deprecation], methods: Iterable[Method]) -> None:
    """Hold the table against what is served. Called by `app` at the start.

    Raises:
        InvalidSettings: an entry names a service or a method that is not served, or one name stands there twice.

    """
    served = list(methods)
    known = {method.service for method in served} | {method.path[1:] for method in served}
    found: set[str] = set()
    for name in entries:
        plain = name.removeprefix("/") if "/" in name[1:] else name
        if plain not in known:
            raise InvalidSettings(f"setting `deprecations`: no service or method `{name}`")
        if plain in found:
            raise InvalidSettings(f"setting `deprecations`: `{plain}` stands there with and without a leading `/`")
        found.add(plain)


def deprecation(edge: Edge, method: Method, inner: Proceed) -> Proceed:
    """The step: metadata on every answer of a deprecated call, refusals included; nothing at all for other calls."""
    entry = _entry(edge.deprecations, method)
    if entry is None:
        return inner
    now, metadata, sunset, refusal = edge.services.clock.now, _metadata(entry), entry.sunset, _refusal(method, entry)

    async def tell(exchange: Exchange) -> Message | None:
        exchange.initial.extend(metadata)
        if sunset is not None and now() >= sunset:
            exchange.failure = refusal
            return None
        return await inner(exchange)

    return tell


def _entry(entries: Mapping[str, Deprecation], method: Method) -> Deprecation | None:
    """The entry of a method; one for the method itself wins over that of its service."""
    names = (method.path, method.path[1:], method.service)
    return next((entries[name] for name in names if name in entries), None)


def _metadata(entry: Deprecation) -> tuple[tuple[str, str], ...]:
    told = [(DEPRECATION, f"@{int(entry.deprecated.timestamp())}")]
    relations = "deprecation"
    if entry.sunset is not None:
        told.append((SUNSET, format_datetime(entry.sunset, usegmt=True)))
        relations += " sunset"
    if entry.link is not None:
        told.append((LINK, f'<{entry.link}>; rel="{relations}"'))
    return tuple(told)


def _refusal(method: Method, entry: Deprecation) -> Failure:
    since = "" if entry.sunset is None else f" since {entry.sunset:%Y-%m-%d}"
    link = "" if entry.link is None else f": see {entry.link}"
    message = f"`{method.path[1:]}` is not served any more{since}{link}"
    return Failure(grpc.StatusCode.UNIMPLEMENTED, "unimplemented", message)
