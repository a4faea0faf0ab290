"""Grants, orders and questions to the audit trail. Called by the handlers of AccessService and AuditService."""

from __future__ import annotations

from datetime import UTC, datetime

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from authz._proto.authz.v1 import access_pb2 as pb
from authz._proto.authz.v1 import audit_pb2
from authz.access.authorization.grants import Grant
from authz.access.authorization.orders import Capture, Revocation, Term
from authz.errors import InvalidRequest
from authz.rpc.convert.values import timestamp_of
from authz.rpc.validate import shown
from authz.store.directives import Directive
from authz.store.trail import RecordFilter

_WORDS = {"decision": ("allowed", "denied", "failed"), "kind": ("call", "change", "note", "checkpoint")}
"""What a question to the trail may be about."""


def grant_of(message: pb.Grant) -> Grant:
    """A grant."""
    return Grant(message.principal, message.role, message.store_id, message.module, message.group)


def grant_message(grant: Grant) -> pb.Grant:
    """A grant as an answer."""
    return pb.Grant(**grant._asdict())


def revocation_of(request: pb.RevokeTokensRequest) -> Revocation:
    """Which tokens to revoke.

    Raises:
        InvalidRequest: see `moment_in`.

    """
    before = moment_in(request, "issued_before")
    return Revocation(request.token_id, request.principal, request.client, request.issuer, before)


def term_of(request: pb.RevokeTokensRequest | pb.SuspendRequest | audit_pb2.StartCaptureRequest) -> Term:
    """When an order ends, and why it is given.

    Raises:
        InvalidRequest: see `moment_in`.

    """
    return Term(moment_in(request, "expires_at"), request.reason)


def capture_of(request: audit_pb2.StartCaptureRequest) -> Capture:
    """Which calls to capture."""
    return Capture(request.principal, request.store_id, request.call)


def directive_message(directive: Directive) -> pb.Directive:
    """An order as an answer."""
    return pb.Directive(
        id=directive.id,
        kind=directive.kind,
        body=directive.body,
        reason=directive.reason,
        created_by=directive.created_by,
        created_at=timestamp_of(directive.created_at),
        expires_at=_optional(directive.expires_at),
        lifted_at=_optional(directive.lifted_at),
    )


def record_filter_of(request: audit_pb2.QueryRecordsRequest) -> RecordFilter:
    """Which records are wanted.

    Raises:
        InvalidRequest: a decision or kind that no record has; also see `moment_in`.

    """
    for field, known in _WORDS.items():
        word = getattr(request, field)
        if word and word not in known:
            raise InvalidRequest(f"`{field}` is one of {', '.join(f'`{each}`' for each in known)}: got `{shown(word)}`")
    return RecordFilter(
        principal=request.principal,
        store_id=request.store_id,
        object=request.object,
        relation=request.relation,
        user=request.user,
        decision=request.decision,
        call=request.call,
        kind=request.kind,
        reason=request.reason,
        request_id=request.request_id,
        since=moment_in(request, "since"),
        until=moment_in(request, "until"),
        limit=request.limit,
        follow=request.follow,
    )


def moment_in(message: Message, field: str) -> datetime | None:
    """A time in a message, in UTC; None when it is not set.

    Raises:
        InvalidRequest: outside the years 1 to 9999.

    """
    if not message.HasField(field):
        return None
    timestamp: Timestamp = getattr(message, field)
    try:
        return timestamp.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise InvalidRequest(f"`{field}` is not a time between the years 1 and 9999") from None


def _optional(moment: datetime | None) -> Timestamp | None:
    return None if moment is None else timestamp_of(moment)
