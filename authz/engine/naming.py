"""Which users a gate names and passes, as an algebra over explicit users with a default for everybody else.

The value of an operand is a set of users, split in two: those that tuples name, each with its truth, and one truth
for everybody else (`everybody`: a typed wildcard holds). Operators work on both parts, so a user that only a wildcard
covers is never named. Used by `engine.list_users`; exact wherever gates are free of cycles.
"""

from __future__ import annotations

from typing import NamedTuple

from authz.engine.binding import Bound, BoundGate
from authz.engine.gathering import Gathering
from authz.engine.scope import Scope
from authz.model.plan import STRIDE

MAX_NESTED_GATES = 40


class Entangled(Exception):
    """A gate depends on itself, or gates are nested too deep."""


class Named(NamedTuple):
    """Users that are named, with whether they are in the set, and whether everybody else is."""

    users: dict[str, bool]
    everybody: bool

    def holds(self, user: str) -> bool:
        """Whether a user is in the set, named or not."""
        return self.users.get(user, self.everybody)


class Naming:
    """Named users of gates for one scope. What was found for one gate serves the next."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._everybody = f"{scope.binder.plans.kind.type}:*"
        self._gatherings: dict[int, Gathering] = {}
        self._found: dict[int, Named] = {}
        self._active: set[int] = set()

    def gate(self, gate: BoundGate, object_: int) -> Named | None:
        """The users of a gate on an object; None when rows are missing.

        Raises:
            Entangled: this algebra does not apply; the users must be gathered and asked about one by one.

        """
        operands = [self._operand(operand, object_) for operand in gate.operands]
        known = [named for named in operands if named is not None]
        if len(known) < len(operands):
            return None
        self._scope.budget.spend(sum(len(named.users) for named in known))
        return _difference(*known) if gate.is_exclusion else _intersection(known)

    def _operand(self, bound: Bound, object_: int) -> Named | None:
        key = object_ * STRIDE + bound.index
        if key in self._found:
            return self._found[key]
        if key in self._active or len(self._active) >= MAX_NESTED_GATES:
            self._active.clear()
            raise Entangled
        gathering = self._gatherings.get(key)
        if gathering is None:
            gathering = self._gatherings[key] = Gathering(self._scope, None, nodes=[(bound, object_)])
        is_complete = gathering.walk()
        self._active.add(key)
        parts = [self.gate(*gate) for gate in gathering.gates]
        self._active.discard(key)
        known = [part for part in parts if part is not None]
        if not is_complete or len(known) < len(parts):
            return None
        users = {user: True for user in gathering.users if user != self._everybody}
        found = self._found[key] = _union([Named(users, self._everybody in gathering.users), *known])
        del self._gatherings[key]
        return found


def _union(parts: list[Named]) -> Named:
    """Who is in any part. Who is in one only because everybody is, and named by another, is not named here."""
    names = dict.fromkeys(user for part in parts for user in part.users)
    users = {user: any(part.users.get(user, False) for part in parts) for user in names}
    return Named(
        {user: named for user, named in users.items() if named or not any(part.holds(user) for part in parts)},
        any(part.everybody for part in parts),
    )


def _intersection(parts: list[Named]) -> Named:
    """Who is in every part. Of those that are not, only exceptions from everybody stay named."""
    everybody = all(part.everybody for part in parts)
    names = dict.fromkeys(user for part in parts for user in part.users)
    users = {user: all(part.holds(user) for part in parts) for user in names}
    return Named({user: holds for user, holds in users.items() if holds or everybody}, everybody)


def _difference(base: Named, subtract: Named) -> Named:
    """Who is in the base and not in what is subtracted; named on that side alone only where the base has everybody."""
    names = dict.fromkeys(base.users)
    if base.everybody:
        names.update(dict.fromkeys(subtract.users))
    users = {user: base.holds(user) and not subtract.holds(user) for user in names}
    return Named(users, base.everybody and not subtract.everybody)
