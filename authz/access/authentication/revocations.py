"""Orders that make credentials worthless before they expire: revocations and suspensions. Asked by `authenticator`.

Told by `commands.directives` of every order; asked at every call, so that an order holds as soon as it is known.
"""

from __future__ import annotations

from datetime import datetime
from math import inf
from typing import Any, NamedTuple

import orjson
import structlog

from authz.access.authentication.credential import Credential
from authz.clock import Clock
from authz.commands.directives import REVOCATION, SUSPENSION, Directives
from authz.errors import AuthzError, Forbidden, InvalidBearerToken, Unavailable
from authz.store.directives import Directive

_TOKEN, _CLIENT, _PRINCIPAL, _SUSPENDED = "token", "client", "principal", "suspended"
_Target = tuple[str, ...]
"""One of the words above, and what it is about."""

_log = structlog.get_logger(__name__)


class _Order(NamedTuple):
    issued_before: float
    """What was issued before this is worthless."""
    ends: float


class Revocations:
    """The revocations and suspensions that hold. Memory grows with them alone, not with what callers do."""

    def __init__(self, directives: Directives, clock: Clock, max_age: float) -> None:
        self._directives = directives
        self._clock = clock
        self._max_age = max_age
        # By target, then by the id of the directive.
        self._orders: dict[_Target, dict[str, _Order]] = {}
        self._due = inf
        directives.subscribe(REVOCATION, self._told)
        directives.subscribe(SUSPENSION, self._told)

    @property
    def is_behind(self) -> bool:
        """See `Directives.is_behind`."""
        return self._directives.is_behind

    async def catch_up(self) -> None:
        """See `Directives.catch_up`."""
        await self._directives.catch_up()

    def refusal(self, credential: Credential, now: float) -> AuthzError | None:
        """Why a credential must not be accepted now, for the caller to raise; None when no order is against it.

        Args:
            credential: verified.
            now: seconds since 1970.

        """
        if self._directives.age > self._max_age:
            return Unavailable("it is not known which credentials are revoked: try again")
        if not self._orders:
            return None
        principal = credential.principal
        if self._holds((_SUSPENDED, principal.id), -inf, now):
            return Forbidden("the principal is suspended")
        if (
            self._holds((_PRINCIPAL, principal.id), credential.issued_at, now)
            or self._holds((_TOKEN, credential.issuer, credential.token_id), -inf, now)
            or self._holds((_CLIENT, credential.issuer, principal.client), credential.issued_at, now)
        ):
            return InvalidBearerToken("the credential is revoked")
        return None

    def _holds(self, target: _Target, issued_at: float, now: float) -> bool:
        orders = self._orders.get(target)
        return orders is not None and any(
            issued_at < order.issued_before and now < order.ends for order in orders.values()
        )

    def _told(self, directive: Directive) -> None:
        now = self._clock.now().timestamp()
        try:
            target, issued_before = _parse(directive)
        except ValueError:
            # Another version may know what it means. Nobody can tell here whom it is against.
            _log.error("order_not_understood", directive=directive.id, kind=directive.kind)
            return
        ends = inf if directive.expires_at is None else directive.expires_at.timestamp()
        if directive.lifted_at is not None or ends <= now:
            self._drop(target, directive.id)
        else:
            self._orders.setdefault(target, {})[directive.id] = _Order(issued_before, ends)
            self._due = min(self._due, ends)
        if now >= self._due:
            self._drop_expired(now)

    def _drop(self, target: _Target, directive_id: str) -> None:
        orders = self._orders.get(target, {})
        orders.pop(directive_id, None)
        if not orders:
            self._orders.pop(target, None)

    def _drop_expired(self, now: float) -> None:
        held = [(target, id_, order) for target, orders in self._orders.items() for id_, order in orders.items()]
        for target, id_, order in held:
            if order.ends <= now:
                self._drop(target, id_)
        self._due = min((order.ends for _, _, order in held if order.ends > now), default=inf)


def _parse(directive: Directive) -> tuple[_Target, float]:
    """Whom an order is against, and what of it.

    Raises:
        ValueError: it has none of the known forms.

    """
    body = orjson.loads(directive.body)
    if not isinstance(body, dict):
        raise ValueError("not an object")
    if directive.kind == SUSPENSION:
        return (_SUSPENDED, _name(body, "principal")), inf
    if "token_id" in body:
        return (_TOKEN, _name(body, "issuer"), _name(body, "token_id")), inf
    if "client" in body:
        return (_CLIENT, _name(body, "issuer"), _name(body, "client")), _instant(body)
    return (_PRINCIPAL, _name(body, "principal")), _instant(body)


def _name(body: dict[str, Any], member: str) -> str:
    value = body.get(member)
    if not isinstance(value, str) or not value:
        raise ValueError(f"`{member}` is not a name")
    return value


def _instant(body: dict[str, Any]) -> float:
    """A time as RFC 3339 text, or as seconds since 1970."""
    value = body.get("issued_before")
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    instant = datetime.fromisoformat(value) if isinstance(value, str) else None
    if instant is None or instant.tzinfo is None:
        raise ValueError("`issued_before` is not a time")
    return instant.timestamp()
