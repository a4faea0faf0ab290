"""Running the rules over the tokens, for the sake of the errors alone.

Called by `find`; asks `prediction` which way to go and `strategy` what to do about a token that does not fit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from schema_dsl.recovery.lookahead import one_token_decides
from schema_dsl.recovery.network import Element, State, network
from schema_dsl.recovery.prediction import NoViableAlternativeError, Predictor
from schema_dsl.recovery.rules import START
from schema_dsl.recovery.strategy import Finding, MismatchError, Recovery

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from schema_dsl.lexer import Token

# A running piece of a rule; it yields the pieces to run inside it, so that nesting costs no Python stack.
_Run: TypeAlias = "Generator[Element, None, None]"


def walk(tokens: list[Token], report: Callable[[Finding], None], fetch: Callable[[int], None]) -> None:
    """Report every error of the tokens; `fetch` is told of each token index that is looked at, in order."""
    walker = _Walker(tokens, report, fetch)
    running = [walker.rule(START)]
    failure: MismatchError | None = None
    while running:
        try:
            inner = next(running[-1]) if failure is None else running[-1].throw(failure)
        except StopIteration:
            failure = None
            running.pop()
        except MismatchError as error:
            failure = error
            running.pop()
        else:
            failure = None
            running.append(walker.run(inner))


class _Walker:
    def __init__(self, tokens: list[Token], report: Callable[[Finding], None], fetch: Callable[[int], None]) -> None:
        self._net = network()
        self._predictor = Predictor(self._net)
        self._recovery = Recovery(tokens, report, fetch)
        self._state = self._net.starts[START]

    def rule(self, name: str) -> _Run:
        """Run one rule; an error inside ends the rule, not the walk."""
        self._state = self._net.starts[name]
        try:
            yield self._net.bodies[name]
        except MismatchError as error:
            self._recovery.report(error.finding)
            self._recovery.recover(self._state)

    def run(self, element: Element) -> _Run:
        """Run one piece of a rule."""
        if element.kind == "token":
            self._token(element.state)
        elif element.kind == "sequence":
            yield from element.parts
        elif element.kind == "rule":
            yield from self._call(element.state)
        elif element.kind in ("choice", "optional"):
            yield from self._branch(element)
        else:
            yield from self._repeat(element)

    def _token(self, state: State) -> None:
        self._state = state
        assert state.on is not None
        if self._recovery.kind_at(0) in state.on:
            self._recovery.accept()
        else:
            self._recovery.repair_token(state)

    def _call(self, state: State) -> _Run:
        self._recovery.callers.append(state)
        yield from self.rule(state.call or "")
        self._recovery.callers.pop()
        self._state = state

    def _branch(self, element: Element) -> _Run:
        chosen = self._decide(element.state)
        if chosen is not None and chosen <= len(element.parts):
            yield element.parts[chosen - 1]
        elif element.kind == "choice":
            raise MismatchError(Finding("no alternative", self._recovery.position, frozenset()))

    def _repeat(self, element: Element) -> _Run:
        assert element.loop is not None
        is_plus = element.kind == "plus"
        if is_plus:
            self._state = element.state
            self._recovery.synchronize(element.state)
        chosen = 1 if is_plus else self._decide(element.state)
        while chosen == 1:
            yield element.parts[0]
            chosen = self._decide(element.loop if is_plus else element.state, synchronized_at=element.loop)

    def _decide(self, decision: State, *, synchronized_at: State | None = None) -> int | None:
        """Return the alternative to take at a decision, None when one token would decide but fits nowhere."""
        self._state = synchronized_at or decision
        self._recovery.synchronize(self._state)
        starts = one_token_decides(decision.number)
        if starts is not None:
            kind = self._recovery.kind_at(0)
            return next((number for number, kinds in enumerate(starts, start=1) if kind in kinds), None)
        try:
            return self._predictor.predict(decision, self._recovery.callers, self._recovery.kind_at)
        except NoViableAlternativeError as error:
            kinds = frozenset(kind for tokens in error.expected if not tokens.is_negated for kind in tokens.kinds)
            raise MismatchError(Finding("no alternative", self._recovery.position + error.ahead, kinds)) from None
