"""What to do at a token that does not fit: delete it, insert the missing one, or skip until a caller can go on.

Used by `walker`. Between an error and the next token that fits again, further errors are held back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from schema_dsl.recovery.lookahead import after, expected
from schema_dsl.recovery.network import EOF, EPSILON

if TYPE_CHECKING:
    from collections.abc import Callable

    from schema_dsl.lexer import Token
    from schema_dsl.recovery.network import State


@dataclass(frozen=True, slots=True)
class Finding:
    """One syntax error at a token, and the kinds of token that could have stood there.

    `how` is `unwanted`, `missing`, `mismatched` or `no alternative`.
    """

    how: str
    token: int
    expected: frozenset[str]


class MismatchError(Exception):
    """The current token does not fit and no small repair helps; unwinds to the rule that goes on."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding)
        self.finding = finding


class Recovery:
    """Where the walk is, and how it gets on after an error."""

    def __init__(self, tokens: list[Token], report: Callable[[Finding], None], fetch: Callable[[int], None]) -> None:
        self._tokens, self._report, self._fetch = tokens, report, fetch
        self.position = 0
        self.callers: list[State] = []
        self._is_recovering = False
        # Where recovery was tried last, to be sure that every attempt gets on by a token at least.
        self._last_position = -1
        self._last_states: set[int] = set()

    def kind_at(self, ahead: int) -> str:
        """Return the kind of the token some places ahead; EOF at the end and beyond."""
        index = min(self.position + ahead, len(self._tokens) - 1)
        self._fetch(index)
        return self._tokens[index].kind

    def consume(self) -> None:
        """Step over the current token; the end of the text stays."""
        if self.kind_at(0) != EOF:
            self.position += 1
            self._fetch(self.position)

    def accept(self) -> None:
        """Step over a token that fits: normal operation again."""
        self._matched()
        self.consume()

    def report(self, finding: Finding) -> None:
        """Report an error unless it may only follow from the one before."""
        if not self._is_recovering:
            self._is_recovering = True
            self._report(finding)

    def _matched(self) -> None:
        self._is_recovering = False
        self._last_position = -1
        self._last_states = set()

    def repair_token(self, state: State) -> None:
        """Get past a state whose token is not there: leave out the current token, or imagine the missing one."""
        if self._delete_token(state):
            self.consume()
            return
        assert state.target is not None
        if self.kind_at(0) in expected(state.target, self.callers):
            self.report(Finding("missing", self.position, expected(state, self.callers)))
            return
        raise MismatchError(self._finding("mismatched", state))

    def synchronize(self, state: State) -> None:
        """Before a decision: see whether the current token can be used; at a loop, skip until one can."""
        if self._is_recovering:
            return
        kinds = after(state)
        if EPSILON in kinds or self.kind_at(0) in kinds:
            return
        if state.role == "loop back":
            self.report(self._finding("unwanted", state))
            self._skip_until(expected(state, self.callers) | self._resumable())
        elif not self._delete_token(state):
            raise MismatchError(self._finding("mismatched", state))

    def recover(self, state: State) -> None:
        """After an error that ended a rule: skip to a token that one of the callers can go on with."""
        if self._last_position == self.position and state.number in self._last_states:
            self.consume()
        self._last_position = self.position
        self._last_states.add(state.number)
        self._skip_until(self._resumable())

    def _delete_token(self, state: State) -> bool:
        kinds = expected(state, self.callers)
        if self.kind_at(1) not in kinds:
            return False
        self.report(self._finding("unwanted", state))
        self.consume()
        self._matched()
        return True

    def _finding(self, how: str, state: State) -> Finding:
        return Finding(how, self.position, expected(state, self.callers))

    def _resumable(self) -> frozenset[str]:
        found: frozenset[str] = frozenset()
        for caller in self.callers:
            assert caller.target is not None
            found |= after(caller.target)
        return found - {EPSILON}

    def _skip_until(self, kinds: frozenset[str]) -> None:
        while self.kind_at(0) != EOF and self.kind_at(0) not in kinds:
            self.consume()
