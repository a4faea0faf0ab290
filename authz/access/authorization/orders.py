"""Orders of administrators: revocations, suspensions, captures. Called by handlers of AccessService and AuditService.

Whether the caller may give them is decided before, by the authorizer. The body of an order is a JSON object:

    revocation  token_id, issuer | principal, issued_before | client, issuer, issued_before
    suspension  principal
    capture     principal, store_id, call: those that are named

`issued_before` is in seconds since 1970. Names are never empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from authz.access.authorization.names import check_principal, legible
from authz.call import Call
from authz.commands.directives import CAPTURE, REVOCATION, SUSPENSION
from authz.commands.services import Services
from authz.errors import Forbidden, InvalidRequest
from authz.store.directives import Directive
from authz.tuples import JsonValue

KINDS = (REVOCATION, SUSPENSION, CAPTURE)
MAX_CAPTURE = timedelta(days=1)


class Revocation(NamedTuple):
    """Which tokens: one by its id, or all of a principal or client that were issued before a time (None: now)."""

    token_id: str = ""
    principal: str = ""
    client: str = ""
    issuer: str = ""
    issued_before: datetime | None = None


class Term(NamedTuple):
    """When an order ends by itself, and why it was given."""

    expires_at: datetime | None = None
    reason: str = ""


class Capture(NamedTuple):
    """Which calls: all members that are not empty must match."""

    principal: str = ""
    store_id: str = ""
    call: str = ""


async def revoke_tokens(services: Services, call: Call, revocation: Revocation, term: Term) -> Directive:
    """Make tokens worthless, for as long as one of them could still be presented.

    The revocation of a principal holds until it is lifted: its keys and certificates may be good for years.

    Raises:
        InvalidRequest: the issuer is missing or unknown, no caller can have the name, or a time makes no sense.

    """
    now = services.clock.now()
    body = _revocation_body(revocation, now)
    _check_may_order(services, call, revocation.principal)
    issuers = services.limits.issuers
    if revocation.issuer and issuers and revocation.issuer not in issuers:
        known = ", ".join(f"`{each}`" for each in sorted(issuers))
        raise InvalidRequest(f"no issuer is called `{legible(revocation.issuer)}` in the settings: use one of {known}")
    if term.expires_at is None and not revocation.principal:
        term = term._replace(expires_at=now + timedelta(seconds=services.limits.max_token_lifetime))
    return await _issue(services, call, REVOCATION, body, term)


async def suspend(services: Services, call: Call, principal: str, term: Term) -> Directive:
    """Refuse every call of a principal.

    Raises:
        InvalidRequest: the end lies in the past, or no caller can have that name.

    """
    check_principal(principal)
    _check_may_order(services, call, principal)
    return await _issue(services, call, SUSPENSION, {"principal": principal}, term)


async def start_capture(services: Services, call: Call, capture: Capture, term: Term) -> Directive:
    """Record the bodies of matching calls for a time.

    Raises:
        InvalidRequest: nothing is named, no caller can have the name, or the end lies in the past or too far ahead.

    """
    body: dict[str, JsonValue] = {name: value for name, value in capture._asdict().items() if value}
    if not body:
        raise InvalidRequest("a capture needs a principal, a store or a call")
    if capture.principal:
        check_principal(capture.principal)
    if term.expires_at is None or term.expires_at > services.clock.now() + MAX_CAPTURE:
        raise InvalidRequest(
            f"a capture ends within {MAX_CAPTURE.total_seconds() / 3600:g} hours: name an earlier time"
        )
    return await _issue(services, call, CAPTURE, body, term)


async def lift(services: Services, call: Call, directive_id: str, kinds: Sequence[str]) -> Directive:
    """End an order of one of these kinds before its time.

    Raises:
        InvalidRequest: no such order holds.

    """
    await services.directives.refresh()  # it may have been given elsewhere a moment ago
    if any(each.id == directive_id and each.kind in kinds for each in services.directives.current()):
        lifted = await services.directives.lift(directive_id, by=call.origin)
        if lifted is not None:
            return lifted
    raise InvalidRequest(f"no order `{directive_id}` of kind {' or '.join(kinds)} holds")


async def list_directives(services: Services, _call: Call, kind: str) -> Sequence[Directive]:
    """The orders that hold now, oldest first; of one kind if given.

    Raises:
        InvalidRequest: there is no such kind.
        Unavailable: the datastore does not answer.

    """
    if kind not in ("", *KINDS):
        raise InvalidRequest(f"`kind` is one of {', '.join(f'`{each}`' for each in KINDS)}: got `{legible(kind)}`")
    await services.directives.refresh()
    return services.directives.current(kind)


def _check_may_order(services: Services, call: Call, principal: str) -> None:
    """Whoever was made an administrator by grant must not be able to lock out those of the configuration."""
    rights = services.rights
    if rights.is_first_admin(principal) and not rights.is_first_admin(call.principal.id):
        raise Forbidden(f"`{legible(principal)}` is an administrator by configuration: only another one may do that")


def _revocation_body(revocation: Revocation, now: datetime) -> dict[str, JsonValue]:
    before = revocation.issued_before or now
    if before > now:
        raise InvalidRequest("`issued_before` lies in the future")
    if revocation.principal:
        check_principal(revocation.principal)
        if revocation.issuer:
            raise InvalidRequest("a principal's id holds its issuer: leave `issuer` out")
        return {"principal": revocation.principal, "issued_before": before.timestamp()}
    if not revocation.issuer:
        raise InvalidRequest("to revoke by token or client, name the `issuer` as well")
    if revocation.client:
        return {"client": revocation.client, "issuer": revocation.issuer, "issued_before": before.timestamp()}
    if revocation.issued_before is not None:
        raise InvalidRequest("one token is revoked whenever it was issued: leave `issued_before` out")
    return {"token_id": revocation.token_id, "issuer": revocation.issuer}


async def _issue(services: Services, call: Call, kind: str, body: JsonValue, term: Term) -> Directive:
    if term.expires_at is not None and term.expires_at <= services.clock.now():
        raise InvalidRequest("the order would end before it begins: `expires_at` lies in the past")
    return await services.directives.issue(kind, body, by=call.origin, reason=term.reason, expires_at=term.expires_at)
