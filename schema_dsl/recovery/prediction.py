"""Choosing an alternative by looking ahead as far as needed: the adaptive LL(*) algorithm.

Called by `walker` where one token does not decide. First the stack of callers is ignored, which is quick and mostly
enough; if that leaves two alternatives in conflict, the lookahead is done again with the real stack.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from schema_dsl.recovery.network import EOF
from schema_dsl.recovery.stacks import AT_BOTTOM, BOTTOM, Stack, StackPool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from schema_dsl.recovery.network import Network, State


class Configuration(NamedTuple):
    """One way to be in the network: a state reached for an alternative with some stacks.

    `is_outside` says that the rule of the decision was left on the way.
    """

    state: State
    alternative: int
    stack: Stack
    is_outside: bool = False


class NoViableAlternativeError(Exception):
    """No alternative fits: the last one died at the token `ahead` tokens after the decision.

    `expected` are the kinds that would have kept one alive.
    """

    def __init__(self, ahead: int, alive: Iterable[Configuration]) -> None:
        super().__init__(ahead)
        self.ahead = ahead
        self.expected = [configuration.state.on for configuration in alive if configuration.state.on is not None]


@dataclass(slots=True)
class _Node:
    """What is known after some tokens: the configurations, and the alternative (0 for a conflict) if that ends it."""

    configurations: list[Configuration]
    verdict: int | None = None
    following: dict[str, _Node] = field(default_factory=dict)


class Predictor:
    """Predicts for the length of one walk, and remembers what it has found out without the stack of callers."""

    def __init__(self, net: Network) -> None:
        self._net = net
        self._pool = StackPool()
        self._starts: dict[int, _Node] = {}
        self._is_full = False

    def predict(self, decision: State, callers: Sequence[State], kind_at: Callable[[int], str]) -> int:
        """Return the number of the alternative to take at a decision, from 1.

        Args:
            decision: A state with several epsilon transitions.
            callers: The call states that led here, outermost first.
            kind_at: Gives the kind of the token some places ahead, EOF at the end and beyond.

        Raises:
            NoViableAlternativeError: when no alternative fits the tokens ahead.
        """
        self._is_full = False
        start = self._starts.get(decision.number)
        if start is None:
            start = self._starts[decision.number] = _Node(self._closure(_ways(decision, BOTTOM)))
        found = self._look_ahead(start, kind_at)
        if found:
            return found
        self._is_full = True
        stack = BOTTOM
        for caller in callers:
            stack = self._pool.push(caller.number, stack)
        return self._look_ahead(_Node(self._closure(_ways(decision, stack))), kind_at)

    def _look_ahead(self, node: _Node, kind_at: Callable[[int], str]) -> int:
        """Return the alternative, or 0 when only the real stack can decide."""
        ahead = 0
        while node.verdict is None:
            kind = kind_at(ahead)
            following = node.following.get(kind)
            if following is None:
                following = node.following[kind] = self._after(node, kind)
            if not following.configurations:
                finished = _finished(node.configurations)
                if finished is None:
                    raise NoViableAlternativeError(ahead, node.configurations)
                return finished
            node = following
            ahead += kind != EOF
        return node.verdict

    def _after(self, node: _Node, kind: str) -> _Node:
        reached = self._reach(node.configurations, kind)
        alternatives = {configuration.alternative for configuration in reached}
        if len(alternatives) == 1:
            return _Node(reached, alternatives.pop())
        if self._is_full:
            return _Node(reached, _single_viable(reached))
        return _Node(reached, 0 if reached and _is_in_conflict(reached) else None)

    def _reach(self, configurations: list[Configuration], kind: str) -> list[Configuration]:
        """Return what the configurations become by one token."""
        moved, stopped = [], []
        for configuration in configurations:
            state = configuration.state
            if state.role == "stop":
                if self._is_full or kind == EOF:
                    stopped.append(configuration)
            elif state.on is not None and state.target is not None and kind in state.on:
                moved.append(configuration._replace(state=state.target))
        is_decided = not stopped and kind != EOF and len({configuration.alternative for configuration in moved}) == 1
        reached = moved if is_decided else self._closure(moved, at_end=kind == EOF)
        if kind == EOF:
            reached = [configuration for configuration in reached if configuration.state.role == "stop"]
        if stopped and not (self._is_full and any(configuration.state.role == "stop" for configuration in reached)):
            reached = reached + stopped
        return reached

    def _closure(self, start: Iterable[Configuration], *, at_end: bool = False) -> list[Configuration]:
        """Follow all transitions that take no token; configurations that differ in their stacks alone become one."""
        merged: dict[tuple[int, int], Configuration] = {}
        seen = set()
        waiting = list(start)
        while waiting:
            configuration = waiting.pop()
            key = (
                configuration.state.number,
                configuration.alternative,
                id(configuration.stack),
                configuration.is_outside,
            )
            if key in seen:
                continue
            seen.add(key)
            is_kept = self._step(configuration, waiting, at_end=at_end)
            if is_kept:
                slot = (configuration.state.number, configuration.alternative)
                known = merged.get(slot)
                merged[slot] = configuration if known is None else self._join(known, configuration)
        return list(merged.values())

    def _step(self, configuration: Configuration, waiting: list[Configuration], *, at_end: bool) -> bool:
        """Put what follows without a token on the waiting list; return whether the configuration itself counts."""
        state = configuration.state
        if state.role == "stop":
            return self._leave_rule(configuration, waiting)
        if state.call is not None and state.target is not None:
            stack = self._pool.push(state.number, configuration.stack)
            waiting.append(configuration._replace(state=self._net.starts[state.call], stack=stack))
            return False
        if state.on is not None:
            if at_end and EOF in state.on and state.target is not None:
                waiting.append(configuration._replace(state=state.target))
            return True
        waiting.extend(Configuration(next_state, *configuration[1:]) for next_state in state.epsilons)
        return False

    def _leave_rule(self, configuration: Configuration, waiting: list[Configuration]) -> bool:
        is_kept = False
        for caller, below in configuration.stack.entries or ((AT_BOTTOM, BOTTOM),):
            if caller != AT_BOTTOM:
                target = self._net.states[caller].target
                assert target is not None
                waiting.append(configuration._replace(state=target, stack=below))
            elif self._is_full or not configuration.state.epsilons:
                is_kept = True
            else:
                # Without the real stack, every caller of the rule may follow.
                follow = configuration._replace(stack=BOTTOM, is_outside=True)
                waiting.extend(follow._replace(state=next_state) for next_state in configuration.state.epsilons)
        return is_kept

    def _join(self, one: Configuration, other: Configuration) -> Configuration:
        stack = self._pool.merge(one.stack, other.stack, is_bottom_wild=not self._is_full)
        return one._replace(stack=stack, is_outside=one.is_outside or other.is_outside)


def _ways(decision: State, stack: Stack) -> list[Configuration]:
    return [Configuration(state, number, stack) for number, state in enumerate(decision.epsilons, start=1)]


def _finished(configurations: list[Configuration]) -> int | None:
    """Return the first alternative that had already come to the end of the decision's rule, if any."""
    return min(
        (config.alternative for config in configurations if config.is_outside or config.state.role == "stop"),
        default=None,
    )


def _conflict_sets(configurations: list[Configuration]) -> list[set[int]]:
    """Return, for each state and stack, the alternatives that lead there."""
    sets: defaultdict[tuple[int, int], set[int]] = defaultdict(set)
    for state, alternative, stack, _ in configurations:
        sets[state.number, id(stack)].add(alternative)
    return list(sets.values())


def _single_viable(configurations: list[Configuration]) -> int | None:
    """Return the alternative that wins however the lookahead goes on, if one does."""
    winners = {min(alternatives) for alternatives in _conflict_sets(configurations)}
    return winners.pop() if len(winners) == 1 else None


def _is_in_conflict(configurations: list[Configuration]) -> bool:
    """Return whether more lookahead without the real stack is unlikely to help."""
    if all(configuration.state.role == "stop" for configuration in configurations):
        return True
    by_state: defaultdict[int, set[int]] = defaultdict(set)
    for state, alternative, _, _ in configurations:
        by_state[state.number].add(alternative)
    has_conflict = any(len(alternatives) > 1 for alternatives in _conflict_sets(configurations))
    return has_conflict and all(len(alternatives) > 1 for alternatives in by_state.values())
