"""Which tokens can come next at a state: with the callers known, or with any callers.

Used by `strategy` to recover and by `walker` to see where one token decides.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from schema_dsl.recovery.network import EOF, EPSILON, Network, State, Tokens, network

if TYPE_CHECKING:
    from collections.abc import Sequence

# Every kind that a token may have; CEL stands for the tokens that only conditions know.
KINDS = frozenset(
    {kind for state in network().states if state.on is not None for kind in state.on.kinds}
    | {"RELATIONS", "CEL", "LESS", "GREATER", "IN", "TRUE", "FALSE", "NULL", "BUT_NOT", "LBRACE"}
) - {EOF}


def after(state: State) -> frozenset[str]:
    """Return the kinds that can come next within the rule of a state; EPSILON when the rule can end here."""
    return _next_kinds(state.number, may_leave=False)


def expected(state: State, callers: Sequence[State]) -> frozenset[str]:
    """Return the kinds that can come next at a state; where rules can end, the callers say what follows."""
    kinds = after(state)
    found = kinds - {EPSILON}
    remaining = list(callers)
    while EPSILON in kinds and remaining:
        caller = remaining.pop()
        assert caller.target is not None
        kinds = after(caller.target)
        found |= kinds - {EPSILON}
    return found | {EOF} if EPSILON in kinds else found


@cache
def _next_kinds(number: int, *, may_leave: bool) -> frozenset[str]:
    """Walk over transitions that take no token; with `may_leave`, the end of a rule goes on at all its callers."""
    net = network()
    found: set[str] = set()
    seen: set[tuple[int, tuple[int, ...]]] = set()
    waiting: list[tuple[State, tuple[int, ...]]] = [(net.states[number], ())]
    while waiting:
        state, callers = waiting.pop()
        if (state.number, callers) in seen:
            continue
        seen.add((state.number, callers))
        if state.on is not None:
            found |= _kinds_of(state.on)
        elif state.call is not None:
            waiting.append((net.starts[state.call], (*callers, state.number)))
        elif state.role == "stop" and callers:
            target = net.states[callers[-1]].target
            assert target is not None
            waiting.append((target, callers[:-1]))
        elif state.role == "stop" and not may_leave:
            found.add(EPSILON)
        else:
            waiting.extend((next_state, callers) for next_state in state.epsilons)
    return frozenset(found)


def _kinds_of(tokens: Tokens) -> frozenset[str]:
    return KINDS - tokens.kinds if tokens.is_negated else tokens.kinds


@cache
def one_token_decides(decision: int) -> tuple[frozenset[str], ...] | None:
    """Return the kinds that start each alternative when no kind starts two of them, else None."""
    net: Network = network()
    starts = tuple(_next_kinds(state.number, may_leave=True) for state in net.states[decision].epsilons)
    total = sum(len(kinds) for kinds in starts)
    return starts if total == len(frozenset().union(*starts)) and all(starts) else None
