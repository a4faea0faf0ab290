"""Settings of how much one caller may ask: rates, tiers, sizes, connections. A section of `tree`."""

from __future__ import annotations

import re
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, Field, SecretStr, model_validator

from authz.settings.types import Count, Name, Seconds, Section

_PERIODS = MappingProxyType({"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86_400.0})
_RATE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)\s*/\s*(second|minute|hour|day)")
_EXPECTED = "expected a rate such as 100/second, 600/minute, 50/hour or 1000/day"


class Quota(NamedTuple):
    """How many units of work a period of `seconds` brings."""

    units: float
    seconds: float


def quota(rate: str) -> Quota:
    """Read a rate such as `100/second`.

    Raises:
        ValueError: it is none, or zero.

    """
    found = _RATE.fullmatch(rate.strip())
    if found is None or float(found[1]) == 0:
        raise ValueError(_EXPECTED)
    return Quota(float(found[1]), _PERIODS[found[2]])


def _rate(rate: str) -> str:
    quota(rate)
    return rate


Rate = Annotated[str, AfterValidator(_rate)]
Cost = Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]


class Tier(Section):
    """How much work of each class may be asked for: in units, of which a Check costs one (see `costs`)."""

    check: Rate = "20000/second"
    """Check and BatchCheck, and the evaluations of AuthZEN."""
    list: Rate = "5000/second"
    """ListObjects, StreamedListObjects and ListUsers, and the searches of AuthZEN."""
    read: Rate = "5000/second"
    """Calls that read tuples, changes, models and stores."""
    write: Rate = "10000/second"
    """Calls that write tuples."""
    model: Rate = "1200/minute"
    """Calls that write models and assertions."""
    admin: Rate = "6000/minute"
    """Calls that administer stores, access and the service."""
    burst: Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)] = 1.0
    """How many periods' worth may come at once: with 1, `600/minute` lets 600 come at once, and then 10 a second."""


class Costs(Section):
    """What calls cost, in units of work. Calls that are not named here cost one."""

    check: Cost = 1
    """One Check, one Evaluation of AuthZEN."""
    batch_check: Cost = 1
    """Each check of a BatchCheck, each evaluation of AuthZEN's Evaluations."""
    list_objects: Cost = 10
    """ListObjects and StreamedListObjects; searches for resources and actions of AuthZEN."""
    list_users: Cost = 10
    """ListUsers, and searches for subjects of AuthZEN."""
    expand: Cost = 5
    """Expand."""
    read: Cost = 2
    """Read and ReadChanges."""
    write: Cost = 1
    """Each tuple of a Write."""
    write_model: Cost = 1
    """WriteAuthorizationModel."""


_STANDARD = "standard"
_SHARED = "store"
_BUILT_IN = MappingProxyType(
    {
        _STANDARD: Tier(),
        _SHARED: Tier(check="50000/second", list="10000/second", read="10000/second", write="20000/second"),
    }
)


class LimitsSettings(Section):
    """The table `[limits]`: of calls, of bytes, and of connections."""

    enabled: bool = True
    """Hold callers to rates. Bounds on sizes and connections hold in any case."""
    tier: Name = _STANDARD
    """The tier of principals that `principals` does not name."""
    store_tier: Name = _SHARED
    """The tier of stores that `stores` does not name; it bounds all principals of a store together."""
    tiers: dict[Name, Tier] = Field(default_factory=dict)
    """Tiers by name, besides `standard` (principals) and `store` (stores), which may be redefined."""
    principals: dict[str, Name] = Field(default_factory=dict)
    """Which tier a principal has, by its id, or by how ids begin: `okta/*`. The longest match counts."""
    stores: dict[str, Name] = Field(default_factory=dict)
    """Which tier a store has, by its id."""
    costs: Costs = Costs()
    """What calls cost."""
    peer: Rate = "50000/second"
    """How many calls may come from one address (one /64 of IPv6), whoever makes them. A gateway is one address."""
    failures: Rate = "30/minute"
    """How many failed authentications one address, and likewise one claimed subject, may have before it must wait."""
    max_failure_delay: Seconds = 60.0
    """How long it must wait at most; the delay begins with a second and doubles with every further failure."""
    max_tracked: Count = 65_536
    """How many principals, and likewise stores, addresses and subjects, are told apart at a time. Newcomers beyond
    share one allowance until others have been idle."""
    shared_url: SecretStr | None = None
    """URL of a Redis or Valkey in which all nodes count together: `redis://HOST:PORT/0`, `rediss://…` for TLS. Without
    it every process allows its share of the rates, the rate divided by `workers`: a caller with a single connection,
    which has one worker, gets no more than that."""
    shared_url_file: Path | None = None
    """File with that URL, read again whenever a connection is made."""
    shared_timeout: Seconds = 0.05
    """How many seconds a call waits for that store at most."""
    on_shared_failure: Literal["local", "refuse"] = "local"
    """What happens while that store does not answer: every process allows its own share, or calls are refused."""
    max_metadata_bytes: Count = 16_384
    """Largest metadata of a request, in bytes."""
    max_concurrent_calls: Count = 16_384
    """How many calls a process has open at a time; the next is refused."""
    max_calls_per_peer: Count = 4096
    """How many of them one address may have. A gateway is one address."""
    max_concurrent_streams: Count = 2048
    """How many calls one connection may have open; further ones are held back by the client or refused as unavailable.
    While more than some thousand wait, of all connections together, grpc drops calls at random."""
    max_connections: Count = 8192
    """How many connections a process accepts."""
    max_watches: Count = 64
    """How many streams of health a process serves."""
    connection_age: Seconds = 1800.0
    """After how many seconds a connection is asked to go, so that its client finds other nodes."""
    connection_age_grace: Seconds = 10.0
    """How many seconds calls on it may then still take."""
    connection_idle: Seconds = 300.0
    """After how many seconds without a call a connection is cut."""
    keepalive_time: Seconds = 30.0
    """After how many seconds of silence a peer is asked whether it lives."""
    keepalive_timeout: Seconds = 10.0
    """How many seconds it may take to say so."""
    min_ping_interval: Seconds = 10.0
    """How many seconds must lie between pings of a peer; one that pings faster, twice too often, is cut."""
    handshake_timeout: Seconds = 5.0
    """How many seconds a peer has for the handshakes of TLS and HTTP/2."""

    @model_validator(mode="after")
    def _names_known_tiers(self) -> LimitsSettings:
        for name in (self.tier, self.store_tier, *self.principals.values(), *self.stores.values()):
            if name not in self.tiers and name not in _BUILT_IN:
                raise ValueError(f"there is no tier `{name}`")
        for pattern in self.principals:
            if "*" in pattern[:-1]:
                raise ValueError(f"`{pattern}`: `*` stands at the end only")
        if self.shared_url is not None and self.shared_url_file is not None:
            raise ValueError("give `shared_url` or `shared_url_file`, not both")
        return self

    def tier_named(self, name: str) -> Tier:
        """A tier by its name, which is known."""
        return self.tiers.get(name) or _BUILT_IN[name]
