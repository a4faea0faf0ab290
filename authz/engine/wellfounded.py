"""The well-founded values of equations that depend on one another in circles. Used by `engine.equations`.

What follows from what is settled spreads over the equations once, by counting (Dowling and Gallier 1984). Then
whatever could only hold by holding itself up is in vain (Van Gelder, Ross and Schlipf 1991: the unfounded set), and
that spreads in turn, until nothing more is settled. So circles of thousands cost about as much as chains.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Literal(NamedTuple):
    """A key of the circle, or that it does not hold."""

    key: int
    is_positive: bool


class Rule(NamedTuple):
    """`head` holds if all literals do. An uncertain rule may make it hold or not: it never proves, but may support."""

    head: int
    literals: tuple[Literal, ...]
    is_certain: bool


class WellFounded:
    """Keys with rules. `held` and `open_` are what is known from the start: the rest depends on the rules alone."""

    def __init__(
        self, keys: list[int], held: set[int], open_: set[int], rules: list[Rule], spend: Callable[[int], None]
    ) -> None:
        self.settled: dict[int, bool] = {}
        """What holds and what does not. What is left out depends on its own negation, or on what is open."""
        self._keys = keys
        self._open = open_
        # Keys that need no rule to support them.
        self._supported = held | open_
        self._rules = rules
        self._spend = spend
        self._unsettled = [len(rule.literals) for rule in rules]
        self._is_dead = [False] * len(rules)
        self._alive = dict.fromkeys(keys, 0)
        self._by_head: dict[int, list[int]] = {key: [] for key in keys}
        self._uses: dict[int, list[tuple[int, bool]]] = {key: [] for key in keys}
        for number, rule in enumerate(rules):
            self._alive[rule.head] += 1
            self._by_head[rule.head].append(number)
            for key, is_positive in rule.literals:
                self._uses[key].append((number, is_positive))
        self._begin(held)

    def _begin(self, held: set[int]) -> None:
        self._spread([(key, True) for key in held])
        self._spread([(rule.head, True) for rule in self._rules if rule.is_certain and not rule.literals])
        self._spread([(key, False) for key in self._keys if not self._alive[key] and key not in self._supported])
        while unfounded := self._unfounded():
            self._spread([(key, False) for key in unfounded])

    def _spread(self, pending: list[tuple[int, bool]]) -> None:
        """Settle keys, and all that follows from them."""
        while pending:
            key, value = pending.pop()
            if key in self.settled:
                continue
            self.settled[key] = value
            self._spend(1 + len(self._uses[key]))
            for number, is_positive in self._uses[key]:
                rule = self._rules[number]
                if value is is_positive:
                    self._unsettled[number] -= 1
                    if not self._unsettled[number] and rule.is_certain and not self._is_dead[number]:
                        pending.append((rule.head, True))
                elif not self._is_dead[number]:
                    self._is_dead[number] = True
                    self._alive[rule.head] -= 1
                    if not self._alive[rule.head] and rule.head not in self._supported:
                        pending.append((rule.head, False))

    def _unfounded(self) -> list[int]:
        """The keys that nothing supports but themselves."""
        waiting = [0] * len(self._rules)
        founded: set[int] = set()
        pending = [key for key in self._open if key not in self.settled]
        for number, rule in enumerate(self._rules):
            if not self._is_dead[number] and rule.head not in self.settled:
                waiting[number] = sum(
                    1 for key, is_positive in rule.literals if is_positive and key not in self.settled
                )
                if not waiting[number]:
                    pending.append(rule.head)
        self._spend(len(self._rules))
        while pending:
            key = pending.pop()
            if key in founded:
                continue
            founded.add(key)
            for number, is_positive in self._uses[key]:
                if is_positive and waiting[number]:
                    waiting[number] -= 1
                    if not waiting[number]:
                        pending.append(self._rules[number].head)
        return [key for key in self._keys if key not in self.settled and key not in founded]
