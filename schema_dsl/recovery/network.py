"""The rules as a network of states, the form that prediction and recovery work on; built once.

Built from `rules`; used by `prediction`, `strategy` and `walker`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise

from schema_dsl.recovery.rules import RULES

EPSILON = "<epsilon>"
EOF = "EOF"
_WORDS = re.compile(r"[A-Z_]+(?:/[A-Z_]+)*|[a-z_]+|[()|?*+!]")


@dataclass(frozen=True, slots=True)
class Tokens:
    """A set of token kinds, or everything but that set (and the end of the text)."""

    kinds: frozenset[str]
    is_negated: bool = False

    def __contains__(self, kind: object) -> bool:
        return (kind not in self.kinds and kind != EOF) if self.is_negated else kind in self.kinds


@dataclass(slots=True, eq=False)
class State:
    """A state: `on` is a token transition or a rule call to `target`; else `epsilons` lead on at once.

    `role` tells what recovery may do here: `block`, `loop entry`, `loop back`, `stop` or nothing.
    """

    number: int
    rule: str
    role: str = ""
    on: Tokens | None = None
    call: str | None = None
    target: State | None = None
    epsilons: list[State] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Element:
    """A piece of a rule as the walker runs it: `kind` is token, rule, sequence, choice, optional, star or plus."""

    kind: str
    state: State
    parts: tuple[Element, ...] = ()
    # The state where a loop decides to go on or leave; other decisions are taken at `state`.
    loop: State | None = None


@dataclass(slots=True)
class Network:
    """All rules: what to run, where each rule starts and stops, and which states follow its calls."""

    bodies: dict[str, Element] = field(default_factory=dict)
    starts: dict[str, State] = field(default_factory=dict)
    stops: dict[str, State] = field(default_factory=dict)
    states: list[State] = field(default_factory=list)


@cache
def network() -> Network:
    """Return the network of the language."""
    return _Builder().build()


class _Builder:
    """Reads the notation of `rules` by recursive descent and lays down states while reading."""

    def __init__(self) -> None:
        self._net = Network()
        self._rule = ""
        self._words: list[str] = []

    def build(self) -> Network:
        for rule in RULES:
            self._rule = rule
            self._net.starts[rule] = self._state()
            self._net.stops[rule] = self._state("stop")
        for rule, text in RULES.items():
            self._rule, self._words = rule, [*_WORDS.findall(text), ")"]
            body, first, last = self._choice()
            self._net.bodies[rule] = body
            self._net.starts[rule].epsilons.append(first)
            last.epsilons.append(self._net.stops[rule])
        # A rule may be left towards every place that calls it.
        for state in self._net.states:
            if state.call is not None and state.target is not None:
                self._net.stops[state.call].epsilons.append(state.target)
        return self._net

    def _state(self, role: str = "") -> State:
        state = State(len(self._net.states), self._rule, role)
        self._net.states.append(state)
        return state

    def _choice(self) -> tuple[Element, State, State]:
        """Read alternatives up to the closing parenthesis, which is taken too."""
        alternatives = [self._sequence()]
        while self._words.pop(0) == "|":
            alternatives.append(self._sequence())
        if len(alternatives) == 1:
            return alternatives[0]
        block, end = self._state("block"), self._state()
        for _, first, last in alternatives:
            block.epsilons.append(first)
            last.epsilons.append(end)
        return Element("choice", block, tuple(alternative[0] for alternative in alternatives)), block, end

    def _sequence(self) -> tuple[Element, State, State]:
        pieces = []
        while self._words[0] not in ("|", ")"):
            pieces.append(self._piece())
        for (_, _, last), (_, first, _) in pairwise(pieces):
            last.epsilons.append(first)
        if len(pieces) == 1:
            return pieces[0]
        first = pieces[0][1]
        return Element("sequence", first, tuple(piece[0] for piece in pieces)), first, pieces[-1][2]

    def _piece(self) -> tuple[Element, State, State]:
        """Read one token, rule or parenthesis, with the repetition after it."""
        word = self._words.pop(0)
        piece = self._choice() if word == "(" else self._atom(word)
        if self._words[0] not in ("?", "*", "+"):
            return piece
        return {"?": self._optional, "*": self._star, "+": self._plus}[self._words.pop(0)](*piece)

    def _atom(self, word: str) -> tuple[Element, State, State]:
        state, target = self._state(), self._state()
        state.target = target
        if word.islower():
            state.call = word
            return Element("rule", state), state, target
        is_negated = word == "!"
        kinds = self._words.pop(0) if is_negated else word
        state.on = Tokens(frozenset(kinds.split("/")), is_negated)
        return Element("token", state), state, target

    def _optional(self, body: Element, first: State, last: State) -> tuple[Element, State, State]:
        parts = body.parts if body.kind == "choice" else (body,)
        block = first if body.kind == "choice" else self._state("block")
        end = last if body.kind == "choice" else self._state()
        if body.kind != "choice":
            block.epsilons.append(first)
            last.epsilons.append(end)
        block.epsilons.append(end)
        return Element("optional", block, parts), block, end

    def _star(self, body: Element, first: State, last: State) -> tuple[Element, State, State]:
        entry, back, end = self._state("loop entry"), self._state("loop back"), self._state()
        entry.epsilons += [first, end]
        last.epsilons.append(back)
        back.epsilons.append(entry)
        return Element("star", entry, (body,), back), entry, end

    def _plus(self, body: Element, first: State, last: State) -> tuple[Element, State, State]:
        block, back, end = self._state("block"), self._state("loop back"), self._state()
        block.epsilons.append(first)
        last.epsilons.append(back)
        back.epsilons += [block, end]
        return Element("plus", block, (body,), back), block, end
