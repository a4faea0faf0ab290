"""The ordered steps that every call goes through, composed once per method. Built by `server`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from authz.rpc.audit import admit, audit
from authz.rpc.authenticate import authenticate, limit_peer
from authz.rpc.authorize import authorize
from authz.rpc.deprecation import deprecation
from authz.rpc.errors import errors
from authz.rpc.exchange import Exchange, Method, Proceed
from authz.rpc.limit import limit, limit_store
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
    Link("audit", "every call ends in a record, refusals too, with the code that its caller got", audit),
    Link("errors", "outside all that raises: a domain error becomes a status once", errors),
    Link("admit", "nothing begins whose record could not be written", admit),
    Link("limit_peer", "before any proof is looked at, which costs more than to refuse", limit_peer),
    Link("authenticate", "before anything else of the request is read", authenticate),
    Link("deprecation", "who calls is known and recorded, also of a call that is gone", deprecation),
    Link("limit", "per principal, before the work of reading the request", limit),
    Link("validate", "before anything looks at the request: what follows may rely on its shape", validate),
    Link("authorize", "needs a well-formed store id, and comes before anything of the store is looked at", authorize),
    Link("limit_store", "last: only those who may ask use up the rate of a store", limit_store),
)
"""The steps, outermost first."""

REFUSING: tuple[Link, ...] = CHAIN[: next(place for place, link in enumerate(CHAIN) if link.name == "limit") + 1]
"""The steps around the refusal of methods that do not exist: they have neither a message nor a rule."""


def compose(edge: Edge, method: Method, chain: Sequence[Link] = CHAIN) -> Proceed:
    """One function for all steps around the handler of a method."""
    services, handler = edge.services, method.handler

    async def handle(exchange: Exchange) -> Message | None:
        return await handler(services, exchange, exchange.request)

    proceed: Proceed = handle
    for link in reversed(chain):
        proceed = link.make(edge, method, proceed)
    return proceed
