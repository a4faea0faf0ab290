"""What a command knows of its call: who asks, from where, until when, and whether anybody still waits.

Made by the edge; a command hands `call.origin` on to whatever it changes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from authz.tuples import JsonValue, TupleKey


class Scope(StrEnum):
    """The class of a call: what a token must be good for, and by what its limits are counted."""

    CHECK = "check"
    READ = "read"
    WRITE = "write"
    MODEL = "model"
    ADMIN = "admin"


class Authentication(StrEnum):
    """How a principal proved who it is."""

    NONE = "none"
    TOKEN = "token"  # noqa: S105 - the name of a method
    CERTIFICATE = "certificate"
    KEY = "key"


@dataclass(frozen=True, slots=True)
class Principal:
    """The authenticated caller of the API; never the `user` of a tuple."""

    id: str
    """Unique in the service and stable: `ISSUER/SUBJECT`, `cert/NAME`, `key/NAME`."""
    authentication: Authentication = Authentication.NONE
    scopes: frozenset[Scope] | None = None
    """What the token is good for; None when it does not limit its holder."""
    groups: frozenset[str] = frozenset()
    """Groups that the issuer put its subject into, as `ISSUER/GROUP`."""
    client: str = ""
    """The program that acts, when the token names one."""
    acr: str = ""
    """How strongly the subject was authenticated: the class that the issuer states."""
    amr: frozenset[str] = frozenset()
    """By which methods the subject was authenticated (RFC 8176)."""


ANONYMOUS = Principal("anonymous")
"""The principal when authentication is off."""


class Origin(NamedTuple):
    """Where a change comes from, as it is recorded with the change."""

    principal: str
    authentication: str = Authentication.NONE.value
    request_id: str = ""
    trace_id: str = ""
    peer: str = ""
    method: str = ""


@dataclass(slots=True)
class Call:
    """One call. `deadline` is a time of `Clock.monotonic`; `cancelled` is set by the edge when the caller goes away."""

    request_id: str = ""
    principal: Principal = field(default=ANONYMOUS)
    deadline: float | None = None
    cancelled: bool = False
    trace_id: str = ""
    peer: str = ""
    """The address of the caller, without its port."""
    method: str = ""
    """The path of the call on the wire."""

    @property
    def origin(self) -> Origin:
        """What is recorded beside a change."""
        who = self.principal
        return Origin(who.id, who.authentication.value, self.request_id, self.trace_id, self.peer, self.method)


@dataclass(slots=True)
class Completed:
    """A call that has ended, as those see it who record, measure and watch. Made once a call by the edge."""

    call: Call
    scope: Scope
    started_at: datetime
    seconds: float
    code: str
    """The name of the status that the caller got: `OK`, `PERMISSION_DENIED`, …"""
    reason: str
    """Why it was refused, by the name of the OpenFGA code; empty when it was answered."""
    store_id: str = ""
    model_id: str = ""
    keys: Sequence[TupleKey] = ()
    """What was asked: one key for a check, one an item for a batch; members that a question leaves open are empty."""
    decisions: Sequence[bool | None] = ()
    """The answer to each key, None for an item that failed; empty for calls that decide nothing."""
    results: int | None = None
    """How many results a list had, or how many tuples a write named."""
    revision: int | None = None
    request_bytes: int = 0
    response_bytes: int = 0
    user_agent: str = ""
    body: Callable[[], JsonValue] | None = None
    """The request as JSON, for those who may record it; None when it was never read."""
