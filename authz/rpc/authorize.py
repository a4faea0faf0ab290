"""Let a principal make only the calls that it has a right to. A step of the chain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz.access.authorization import DENIED
from authz.errors import Forbidden
from authz.rpc.exchange import Exchange, Method, Proceed

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from authz.rpc.edge import Edge


def authorize(edge: Edge, method: Method, inner: Proceed) -> Proceed:
    """The step: refuse what no right allows, in one and the same way whether the store exists or not."""
    allows = edge.authorizer.gate(method.path, method.scope)

    async def admit(exchange: Exchange) -> Message | None:
        if not await allows(exchange.call, exchange.store_id, exchange.request):
            raise Forbidden(DENIED)
        return await inner(exchange)

    return admit
