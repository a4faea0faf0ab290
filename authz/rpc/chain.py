"""The ordered steps that every call goes through, composed once per method. Built by `server`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from authz.rpc.errors import errors
from authz.rpc.exchange import Exchange, Method, Proceed
from authz.rpc.observe import observe
from authz.rpc.validate import validate

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from authz.rpc.edge import Edge


class Link(NamedTuple):
    """A step with the reason for its place. `make` puts it around the rest of the chain of one method."""

    name: str
    reason: str
    make: Callable[[Edge, Method, Proceed], Proceed]


CHAIN: tuple[Link, ...] = (
    Link("observe", "outermost: every call is seen with the status that its caller got", observe),
    Link("errors", "outside all that raises: a domain error becomes a status once", errors),
    Link("validate", "before anything looks at the request: what follows may rely on its shape", validate),
)
"""The steps, outermost first."""


def compose(edge: Edge, method: Method, chain: Sequence[Link] = CHAIN) -> Proceed:
    """One function for all steps around the handler of a method."""
    services, handler = edge.services, method.handler

    async def handle(exchange: Exchange) -> Message | None:
        return await handler(services, exchange, exchange.request)

    proceed: Proceed = handle
    for link in reversed(chain):
        proceed = link.make(edge, method, proceed)
    return proceed
