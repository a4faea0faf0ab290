"""What can go wrong for a program that asks the service. Raised by every part of `authz.client`.

None of them means "allowed": whoever catches one and goes on must treat the question as answered with no.

ClientError                 reason (the OpenFGA code name where the service gave one), is_transient, may_have_applied
├── Denied                  forbidden: the service said no, and the caller asked for an error in that case
├── Truncated               truncated: a list was cut short; `found` is what came until then
├── InvalidRequest          validation_error, …: the request must be changed
│   └── UnknownToken        validation_error: a consistency token that the service cannot read or does not have any more
├── NotFound                store_id_not_found, undefined_endpoint
├── Conflict                Aborted: another write won, or a tuple exists with another condition; nothing was applied
├── Unauthenticated         unauthenticated, …: the service does not accept who this program says it is
│   └── NoCredentials       no_credentials: no token could be had from where tokens come from
├── Forbidden               forbidden: this program may not make this call; says nothing about the user it asked for
├── Unavailable             unavailable, cancelled: no server, or one that cannot answer now
│   ├── DeadlineExceeded    deadline_exceeded: no answer in time
│   └── RateLimited         resource_exhausted: too much in too little time; `retry_after` is in seconds, or 0
├── MalformedAnswer         malformed_answer: the service answered with something that is no answer
├── ServiceFailed           internal_error, …: the service failed
└── Unusable                unusable: the client is closed, or belongs to another process or event loop
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class ClientError(Exception):
    """An error with a stable reason; its message holds no secrets, yet may name objects and users.

    `may_have_applied` is true when a write failed and nobody knows whether it was applied before.
    """

    default_reason = "internal_error"
    is_transient = False

    def __init__(self, message: str, reason: str = "", *, may_have_applied: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or self.default_reason
        self.may_have_applied = may_have_applied


class Denied(ClientError):
    """The user has not the relation to the object."""

    default_reason = "forbidden"


class Truncated(ClientError):
    """A list that was cut short (`why` is `deadline` or `max-results`), where only a whole one is of use."""

    default_reason = "truncated"

    def __init__(self, message: str, why: str, found: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.why = why
        self.found = tuple(found)


class InvalidRequest(ClientError):
    """The service refuses the request as it is."""

    default_reason = "validation_error"


class UnknownToken(InvalidRequest):
    """The service cannot read the consistency token, or has not what it names: it was restored, or failed over."""


class NotFound(ClientError):
    """No such store, or no such call."""

    default_reason = "undefined_endpoint"


class Conflict(ClientError):
    """Another write changed the same tuples first; nothing was applied."""

    default_reason = "Aborted"
    is_transient = True


class Unauthenticated(ClientError):
    """The service does not accept the credentials of this program."""

    default_reason = "unauthenticated"


class NoCredentials(Unauthenticated):
    """The source of tokens gave none."""

    default_reason = "no_credentials"


class Forbidden(ClientError):
    """This program may not make this call."""

    default_reason = "forbidden"


class Unavailable(ClientError):
    """No server answers, or it cannot answer now."""

    default_reason = "unavailable"
    is_transient = True


class DeadlineExceeded(Unavailable):
    """There was no answer in the time that the call had."""

    default_reason = "deadline_exceeded"


class RateLimited(Unavailable):
    """Too many calls. `retry_after` is in seconds; 0 when the service did not say."""

    default_reason = "resource_exhausted"

    def __init__(
        self, message: str, reason: str = "", *, retry_after: float = 0.0, may_have_applied: bool = False
    ) -> None:
        super().__init__(message, reason, may_have_applied=may_have_applied)
        self.retry_after = retry_after


class MalformedAnswer(ClientError):
    """The answer lacks what it must have, or contradicts the question."""

    default_reason = "malformed_answer"


class ServiceFailed(ClientError):
    """The service failed in a way that it does not explain."""


class Unusable(ClientError):
    """The client was closed, or is used in another process or event loop than the one it was opened in."""

    default_reason = "unusable"
