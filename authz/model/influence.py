"""What can change the answers of a plan, and what it takes to find them. Asked by the engine through `model.plan`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from authz.model.plan import Plan

Pair = tuple[str, str]
"""(type, relation) of the left side of tuples."""

MANY = 4
"""Gates inside gates that are not counted further."""


class Influence(NamedTuple):
    """What holds of a plan with everything that it leads to."""

    own_pairs: frozenset[Pair]
    """Pairs whose tuples matter on the object that is asked about."""
    far_pairs: frozenset[Pair]
    """Pairs whose tuples matter on objects that others lead to."""
    is_conditional: bool
    """Whether a tuple with a condition can matter."""
    nesting: int
    """How many gates may be passed one inside another, counted up to `MANY`; a circle counts as that many."""


def influence_on(plan: Plan) -> Influence:
    """The influence on a complete plan: every tuple whose pair is not among these can come and go unnoticed."""
    own = _reached([plan], lambda each: each.on_this_object())
    far = _reached([hop.target for each in own for hop in each.hops], lambda each: each.following())
    is_conditional = any(edge.condition for each in own | far for edge in each.edges())
    return Influence(_pairs(own), _pairs(far), is_conditional, _nesting(plan))


def _nesting(plan: Plan) -> int:
    nesting, level = 0, _reached([plan], lambda each: each.beside())
    while nesting < MANY:
        operands = [operand for each in level for gate in each.gates for operand in gate.operands]
        if not operands:
            break
        nesting, level = nesting + 1, _reached(operands, lambda each: each.beside())
    return nesting


def _reached(start: Iterable[Plan], following: Callable[[Plan], Iterable[Plan]]) -> set[Plan]:
    """The plans that one comes to from some, with these."""
    seen = set(start)
    pending = list(seen)
    while pending:
        for plan in following(pending.pop()):
            if plan not in seen:
                seen.add(plan)
                pending.append(plan)
    return seen


def _pairs(plans: set[Plan]) -> frozenset[Pair]:
    return frozenset((edge.type, edge.relation) for plan in plans for edge in plan.edges())
