"""The decision behind every integration: who asks, for what, and what is answered when there is no clear yes.

Used by `starlette`, `fastapi`, `flask` and `interceptors`, which only find the values and speak their framework's
errors. Whatever goes wrong ends in a `Refusal`.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, NoReturn

from authz.client.errors import ClientError, Denied, InvalidRequest, RateLimited, Truncated, UnknownToken
from authz.client.template import Misconfigured, Template, Unfit, check_user
from authz.client.values import NO_CONTEXT, Decision

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from authz.client.aio_calls import AsyncCalls
    from authz.client.consistency import Consistency
    from authz.client.sync_calls import Calls
    from authz.client.values import JsonValue

_log = logging.getLogger("authz.client")


class Answer(Enum):
    """Why a request does not go on, as the HTTP status that says so."""

    UNAUTHENTICATED = 401
    DENIED = 403
    HIDDEN = 404
    MISCONFIGURED = 500
    UNAVAILABLE = 503


_DETAILS = {
    Answer.UNAUTHENTICATED: "Not authenticated",
    Answer.DENIED: "Forbidden",
    Answer.HIDDEN: "Not Found",
    Answer.MISCONFIGURED: "Internal Server Error",
    Answer.UNAVAILABLE: "Authorization is unavailable",
}


class Refusal(Exception):
    """The request does not go on. `retry_after` is in whole seconds, or 0."""

    def __init__(self, answer: Answer, retry_after: int = 0) -> None:
        super().__init__(_DETAILS[answer])
        self.answer = answer
        self.status = answer.value
        self.detail = _DETAILS[answer]
        self.retry_after = retry_after

    def headers(self) -> dict[str, str]:
        """What an HTTP answer says beside its status."""
        if self.answer is Answer.UNAUTHENTICATED:
            return {"WWW-Authenticate": "Bearer"}
        return {"Retry-After": str(self.retry_after)} if self.retry_after else {}


@dataclass(frozen=True, slots=True)
class Allowed:
    """What an endpoint may rely on: this user has this relation to this object."""

    user: str
    relation: str
    object: str
    decision: Decision


@dataclass(frozen=True, slots=True)
class Requirement:
    """What an endpoint needs. `context` finds values for conditions in a request."""

    relation: str
    template: Template
    consistency: Consistency | None = None
    context: Callable[[Any], Mapping[str, JsonValue]] | None = None

    def context_of(self, request: Any) -> Mapping[str, JsonValue]:
        """Values for conditions."""
        return self.context(request) if self.context else NO_CONTEXT


@dataclass(frozen=True, slots=True)
class Guard:
    """How one application asks.

    `subject` finds the user of a request; `hide` answers as if the object were not there.
    """

    client: Calls | AsyncCalls
    subject: Callable[[Any], Any]
    hide: bool = False

    def user(self, found: object) -> str:
        """The user, out of what `subject` found.

        Raises:
            Refusal: there is none, or it cannot be one.

        """
        if not found:
            raise Refusal(Answer.UNAUTHENTICATED)
        try:
            return check_user(found)
        except Unfit as error:
            self.refuse(error)

    def named(self, template: Template, value_of: Callable[[str], object]) -> str:
        """The object that a request is about.

        Raises:
            Refusal: it names none.

        """
        try:
            return template.fill(value_of)
        except (Unfit, Misconfigured) as error:
            self.refuse(error)

    def conclude(self, decision: object, user: str, relation: str, name: str) -> Allowed:
        """The decision, if it is a yes.

        Raises:
            Refusal: anything else.

        """
        if isinstance(decision, Decision) and decision:
            return Allowed(user, relation, name, decision)
        raise Refusal(self.denied)

    @property
    def denied(self) -> Answer:
        """How a no is answered."""
        return Answer.HIDDEN if self.hide else Answer.DENIED

    def refusal(self, error: Exception) -> Refusal:
        """What an error becomes that a handler let through."""
        try:
            self.refuse(error)
        except Refusal as refusal:
            return refusal

    def refuse(self, error: Exception) -> NoReturn:
        """End a request that met an error on the way to its decision.

        Raises:
            Refusal: always.

        """
        if isinstance(error, Refusal):
            raise error
        if isinstance(error, Denied):
            raise Refusal(self.denied) from None
        if isinstance(error, Unfit):
            _log.info("refused: %s", error)
            raise Refusal(self.denied) from None
        if isinstance(error, RateLimited):
            raise Refusal(Answer.UNAVAILABLE, math.ceil(error.retry_after)) from None
        if _is_unavailable(error):
            _log.warning("no decision: %s", error)
            raise Refusal(Answer.UNAVAILABLE) from None
        _log.error("no decision: %s: %s", type(error).__name__, error)
        raise Refusal(Answer.MISCONFIGURED) from None


def _is_unavailable(error: Exception) -> bool:
    if isinstance(error, InvalidRequest) and not isinstance(error, UnknownToken):
        return False  # a relation or type that the model has not, or a condition without its values
    return isinstance(error, ClientError) and not isinstance(error, Truncated)


def guard_in(found: object) -> Guard:
    """What `protect` left with an application.

    Raises:
        Refusal: it was never called.

    """
    if isinstance(found, Guard):
        return found
    _log.error("no decision: the application is not set up: call `protect(app, client)`")
    raise Refusal(Answer.MISCONFIGURED)


def claims_subject(claims: object, type_: str = "user") -> str:
    """`user:` and the `sub` of verified claims; empty without one."""
    get = getattr(claims, "get", None)
    subject = get("sub") if callable(get) else None
    return f"{type_}:{subject}" if isinstance(subject, str) and subject else ""
