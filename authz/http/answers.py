"""What a call is answered with: its status, its body, the headers of every answer. Used by `calls`, `application`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from google.protobuf import descriptor_pool

from authz.http.printing import printer_of
from authz.rpc.methods import SERVICE

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from authz.http.errors import Header
    from authz.rpc.exchange import Exchange, Method

OK, CREATED, NO_CONTENT = 200, 201, 204
_STATUS = {"CreateStore": CREATED, "WriteAuthorizationModel": CREATED, "DeleteStore": NO_CONTENT}
_STATUS["WriteAssertions"] = NO_CONTENT

_GUARDING: tuple[Header, ...] = (
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)
"""No page is served here: whatever a browser is made to take an answer for, it does nothing with it."""
_ONLY_TLS: Header = (b"strict-transport-security", b"max-age=31536000")


def headers_of_all(*, is_tls: bool) -> tuple[Header, ...]:
    """The headers that every answer has."""
    return (*_GUARDING, _ONLY_TLS) if is_tls else _GUARDING


def success_of(method: Method) -> int:
    """The status of an answer that is no refusal."""
    return _STATUS.get(method.name, OK) if method.service == SERVICE else OK


def printer_for(method: Method) -> Callable[[Message], bytes]:
    """How the answers of a method become JSON."""
    if method.path == f"/{SERVICE}/Check":
        return _print_check
    service = descriptor_pool.Default().FindServiceByName(method.service)
    answer = service.FindMethodByName(method.name).output_type
    return printer_of(answer, shows_unset=method.service == SERVICE)


def _print_check(answer: Message) -> bytes:
    # The two answers there are: nothing ever sets `resolution`.
    return b'{"allowed":true,"resolution":""}' if getattr(answer, "allowed") else b'{"allowed":false,"resolution":""}'  # noqa: B009 - a message of any type, to mypy


def header_lines(metadata: Iterable[tuple[str, str]]) -> list[Header]:
    """Metadata as headers."""
    return [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in metadata]


def took(exchange: Exchange) -> list[Header]:
    """How many milliseconds the call took, under the name by which the SDKs of OpenFGA measure it."""
    completed = exchange.completed
    return [] if completed is None else [(b"fga-query-duration-ms", b"%d" % round(completed.seconds * 1000))]
