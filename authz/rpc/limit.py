"""Hold callers to their rates: the principal's own, then the store's. Two steps of the chain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz.access.limits.work import price_of
from authz.errors import RateLimited
from authz.rpc.exchange import Exchange, Method, Proceed

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from authz.rpc.edge import Edge


def limit(edge: Edge, method: Method, inner: Proceed) -> Proceed:
    """The step: the rate of the principal for this class of call, before its request is read."""
    limiter = edge.limiter
    if limiter is None:
        return inner
    price = price_of(method.name, method.scope, edge.costs)
    admit, work, cost = limiter.admit, price.work, price.cost

    async def hold(exchange: Exchange) -> Message | None:
        verdict = admit(exchange.call.principal.id, work, cost)
        if verdict is not None:
            wait = verdict if isinstance(verdict, float) else await verdict
            if wait is not None:
                raise RateLimited(f"the caller exceeds its rate for calls of class `{work.name.lower()}`", wait)
        return await inner(exchange)

    return hold


def limit_store(edge: Edge, method: Method, inner: Proceed) -> Proceed:
    """The step: the rate of the store, and what the items of the request cost beyond one."""
    limiter = edge.limiter
    names_store = "store_id" in method.request.DESCRIPTOR.fields_by_name
    if limiter is None or not (names_store or method.store):
        return inner
    price = price_of(method.name, method.scope, edge.costs)
    admit, work, cost, extra = limiter.admit_store, price.work, price.cost, price.extra

    async def hold(exchange: Exchange) -> Message | None:
        more = extra(len(exchange.keys))
        verdict = admit(exchange.store_id, exchange.call.principal.id, work, cost, more)
        if verdict is not None:
            wait = verdict if isinstance(verdict, float) else await verdict
            if wait is not None:
                raise RateLimited(f"the rate of the caller or of the store for `{work.name.lower()}` is exceeded", wait)
        return await inner(exchange)

    return hold
