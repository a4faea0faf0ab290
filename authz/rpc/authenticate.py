"""Find out who calls. A step of the chain: nothing of an unauthenticated request is parsed or kept."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from authz.access.authentication import bearer
from authz.errors import RateLimited, Unauthenticated
from authz.rpc.exchange import Exchange, Method, Proceed

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from authz.call import Principal
    from authz.rpc.edge import Edge, Guard


SLOW_SECONDS = 1.0
"""How long a proof waits at most whose claimed subject has failed too often."""


def limit_peer(edge: Edge, _method: Method, inner: Proceed) -> Proceed:
    """The step: a cheap limit on addresses."""
    if edge.peers is None:
        return inner
    admit = edge.peers.admit

    async def hold(exchange: Exchange) -> Message | None:
        wait = admit(exchange.call.peer)
        if wait is not None:
            raise RateLimited("too many calls from this address", wait)
        return await inner(exchange)

    return hold


def authenticate(edge: Edge, method: Method, inner: Proceed) -> Proceed:
    """The step: the caller's proof, and how strong it is. Nothing while authentication is off."""
    guard = edge.guard
    if guard is None:
        return inner
    authenticator, known, demand = guard.authenticator, guard.authenticator.known, guard.strong.demand
    scope, path = method.scope, method.path

    async def identify(exchange: Exchange) -> Message | None:
        try:
            token = bearer(exchange.metadata)
        except Unauthenticated as error:
            _hold_failing(edge, exchange.call.peer)
            _count_failure(edge, guard, exchange.call.peer, "", error)
            raise
        if authenticator.is_behind:
            await authenticator.catch_up()
        principal = known(token, exchange.certificate)
        if principal is None:
            principal = await _verify(edge, guard, exchange, token)
        exchange.call.principal = principal
        lacking = demand(principal, scope, path)
        if lacking is not None:
            raise Unauthenticated(f"the call demands {lacking}")
        if method.is_streaming:
            exchange.confirm = _confirmation(guard, exchange, token)
        return await inner(exchange)

    return identify


def _confirmation(guard: Guard, exchange: Exchange, token: str) -> Callable[[], Awaitable[None]]:
    """What to ask before more is sent: a stream must not outlive the proof of its caller."""
    authenticator, method = guard.authenticator, exchange.method

    async def confirm() -> None:
        if authenticator.is_behind:
            await authenticator.catch_up()
        principal = authenticator.known(token, exchange.certificate)
        if principal is None:
            principal = await authenticator.verify(token, exchange.certificate)
        if principal != exchange.call.principal:
            raise Unauthenticated("the credential proves somebody else now")
        lacking = guard.strong.demand(principal, method.scope, method.path)
        if lacking is not None:
            raise Unauthenticated(f"the call demands {lacking}")

    return confirm


async def _verify(edge: Edge, guard: Guard, exchange: Exchange, token: str) -> Principal:
    peer = exchange.call.peer
    _hold_failing(edge, peer)
    claimed = guard.authenticator.claimed(token)
    wait = edge.peers.admit_subject(claimed) if edge.peers is not None and claimed else None
    if wait is not None:
        # Slower, never refused: whoever fails in its name must not be able to keep the subject itself out.
        await asyncio.sleep(min(wait, SLOW_SECONDS))
    try:
        return await guard.authenticator.verify(token, exchange.certificate)
    except Unauthenticated as error:
        _count_failure(edge, guard, peer, claimed, error)
        raise


def _hold_failing(edge: Edge, peer: str) -> None:
    """Refuse to look at a proof from an address that failed too often; who is known already calls from there as ever.

    Raises:
        RateLimited: the address must wait.

    """
    wait = edge.peers.admit_proof(peer) if edge.peers is not None else None
    if wait is not None:
        raise RateLimited("too many failed authentications from this address", wait)


def _count_failure(edge: Edge, guard: Guard, peer: str, claimed: str, error: Unauthenticated) -> None:
    if edge.peers is not None:
        edge.peers.failed(peer, claimed)
    if guard.failures is not None:
        guard.failures.note(peer, claimed, error.reason)
