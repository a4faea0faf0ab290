"""Which calls demand strong authentication, and whether a principal has it. Asked by the step `authorize` of `rpc`."""

from __future__ import annotations

import structlog

from authz.call import Principal, Scope
from authz.clock import Clock
from authz.settings.access import AccessSettings, StrongDemand

MAX_REQUIRED = 10_000

_log = structlog.get_logger(__name__)


class StrongRules:
    """The rules of the settings, and demands on single principals that are raised while the service runs."""

    def __init__(self, settings: AccessSettings, clock: Clock) -> None:
        self._rules = settings.strong
        self._step_up = settings.step_up
        self._clock = clock
        self._required: dict[str, float] = {}
        # By class and path of a call; both come from our own table of methods.
        self._found: dict[tuple[Scope, str], tuple[StrongDemand, ...]] = {}

    def demand(self, principal: Principal, scope: Scope, method: str) -> str | None:
        """What the principal's authentication lacks for a call, in words for the caller; None when it lacks nothing.

        Args:
            principal: who calls.
            scope: the class of the call.
            method: its path on the wire.

        """
        demands = self._found.get((scope, method))
        if demands is None:
            demands = self._found[scope, method] = self._matching(scope, method)
        for demand in demands:
            if lacking := _lacking(demand, principal):
                return lacking
        until = self._required.get(principal.id)
        if until is not None and self._clock.monotonic() < until:
            return _lacking(self._step_up, principal)
        return None

    def require(self, principal_id: str, until: float) -> None:
        """Demand `step_up` of a principal for every call until a time of `Clock.monotonic`. Never shortens a demand.

        Beyond `MAX_REQUIRED` the demand that ends first is given up, and that is logged.
        """
        if principal_id not in self._required and len(self._required) >= MAX_REQUIRED:
            self._make_room()
        self._required[principal_id] = max(until, self._required.get(principal_id, until))

    def _make_room(self) -> None:
        now = self._clock.monotonic()
        self._required = {each: until for each, until in self._required.items() if until > now}
        if len(self._required) >= MAX_REQUIRED:
            soonest = min(self._required, key=self._required.__getitem__)
            del self._required[soonest]
            _log.warning("strong_demand_dropped", principal=soonest, kept=MAX_REQUIRED)

    def _matching(self, scope: Scope, method: str) -> tuple[StrongDemand, ...]:
        name = method.rpartition("/")[2]
        return tuple(rule for rule in self._rules if scope in rule.scopes or {method, name} & set(rule.methods))


def _lacking(demand: StrongDemand, principal: Principal) -> str | None:
    if demand.acr and principal.acr not in demand.acr:
        return f"authentication of class {_listed(demand.acr)}"
    missing = [each for each in demand.amr if each not in principal.amr]
    return f"authentication by {_listed(missing, ' and ')}" if missing else None


def _listed(words: list[str] | tuple[str, ...], between: str = " or ") -> str:
    return between.join(f"`{word}`" for word in words)
