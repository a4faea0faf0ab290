"""Settings of which behaviour is unusual, and what follows from it. A section of `tree`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from authz.settings.types import Count, Seconds, Section


class Kind(StrEnum):
    """In which way behaviour is unusual."""

    RATE = "rate"
    """Far more questions than ever before."""
    DENIALS = "denials"
    """Many questions, and nearly all are denied."""
    ENUMERATION = "enumeration"
    """Many distinct objects, or stores, that the principal may not reach."""
    OBJECTS = "objects"
    """Many distinct objects, reached or not."""
    HOURS = "hours"
    """At work at an hour of the day at which it never is."""
    ADDRESS = "address"
    """From a network that it never came from."""
    AUTHENTICATION = "authentication"
    """Repeated failures to authenticate from one peer, for one subject, or over all."""
    PRINCIPALS = "principals"
    """More new principals than can be watched."""


class Severity(StrEnum):
    """How bad it is."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class Response(StrEnum):
    """What is done about it, the mildest first."""

    ALERT = "alert"
    RECORD_MORE = "record_more"
    """Record the bodies of the principal's calls for a while."""
    LIMIT = "limit"
    """Hold the principal to a little more than its usual rate for a while."""
    DEMAND_STRONG = "demand_strong"
    """Demand strong authentication of the principal for a while."""
    SUSPEND = "suspend"
    """Refuse the principal for a while."""


Responses = dict[Kind, dict[Severity, tuple[Response, ...]]]

_ALERT = (Response.ALERT,)
_RECORD = (Response.ALERT, Response.RECORD_MORE)
_LIMIT = (Response.ALERT, Response.RECORD_MORE, Response.LIMIT)
_GRADUATED = {Severity.WARNING: _RECORD, Severity.CRITICAL: _LIMIT}

DEFAULT_RESPONSES: Responses = {
    Kind.RATE: _GRADUATED,
    Kind.DENIALS: _GRADUATED,
    Kind.ENUMERATION: _GRADUATED,
    Kind.OBJECTS: _GRADUATED,
    Kind.HOURS: {Severity.WARNING: _ALERT},
    Kind.ADDRESS: {Severity.WARNING: _ALERT},
    Kind.AUTHENTICATION: {Severity.WARNING: _ALERT, Severity.CRITICAL: _ALERT},
    Kind.PRINCIPALS: {Severity.WARNING: _ALERT, Severity.CRITICAL: _ALERT},
}
"""What is done where the configuration says nothing."""
# Whoever fails to authenticate is not the subject that he names: acting on that one would lock it out.
_ALERT_ONLY = (Kind.AUTHENTICATION, Kind.PRINCIPALS)

Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class DetectionSettings(Section):
    """The table `[detection]`. Behaviour is compared with what the same process saw before; it forgets at a restart."""

    enabled: bool = True
    """Watch how principals behave."""
    max_principals: int = Field(default=10_000, ge=10)
    """How many principals are watched at once in one process. Those known for long stay when many new ones come."""
    max_peers: Count = 10_000
    """Of how many addresses, and of how many subjects, failures to authenticate are remembered."""
    learning: Seconds = 600.0
    """For how many seconds a principal is only suspicious at three times the `factor`; in the first minute never."""
    factor: float = Field(default=10.0, ge=2, le=1000)
    """How many times the usual is unusual."""
    burst_rate: Rate = 50.0
    """Questions per second, over three seconds, that are never unusual. The floors are for the whole service: each of
    `n` workers applies them divided by the root of `n`, as callers spread over workers unevenly."""
    sustained_rate: Rate = 10.0
    """Questions per second, over a minute, that are never unusual."""
    denials: Count = 200
    """Denied questions a minute that are never unusual."""
    denied_objects: Count = 200
    """Distinct denied objects a minute that are never unusual."""
    objects: Count = 2000
    """Distinct objects a minute that are never unusual."""
    failures: Count = 10
    """Failures to authenticate within some minutes, of one address or for one subject, that are never unusual."""
    exempt: tuple[str, ...] = ("anonymous",)
    """Principals that are only alerted about and recorded, never held back; `*` stands for any text. So are the
    `admins` of `[access]`, or an attacker could lock the operators out."""
    responses: Responses = Field(default_factory=dict)
    """What is done, by kind and severity; what is not said here stays as it is. `[detection.responses.rate]`
    `critical = ["alert", "record_more", "limit", "demand_strong", "suspend"]`; an empty list logs only."""
    record_seconds: Seconds = 900.0
    """For how many seconds more is recorded."""
    limit_seconds: Seconds = 300.0
    """For how many seconds a limit holds; it is renewed while the behaviour lasts."""
    limited_rate: Rate = 10.0
    """Questions per second that a limit leaves at least; it leaves three times the usual if that is more."""
    strong_seconds: Seconds = 3600.0
    """For how many seconds strong authentication is demanded."""
    suspend_seconds: Seconds = 900.0
    """For how many seconds a principal is suspended."""
    reminder: Seconds = 3600.0
    """After how many seconds an alert about behaviour that lasts or returns is repeated."""

    @model_validator(mode="after")
    def _nobody_is_locked_out(self) -> Self:
        for kind in _ALERT_ONLY:
            for severity, chosen in self.responses.get(kind, {}).items():
                if set(chosen) - {Response.ALERT}:
                    raise ValueError(f"responses to `{kind}`, {severity}: only `alert`, as its principal did nothing")
        return self

    def responses_to(self, kind: Kind, severity: Severity) -> tuple[Response, ...]:
        """What is done about a kind of behaviour: the configured, else the default."""
        given = self.responses.get(kind, {}).get(severity)
        return DEFAULT_RESPONSES[kind].get(severity, ()) if given is None else given
