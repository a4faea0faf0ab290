"""Compare answers with expectations and collect what differs. Used by the tests of this folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc

from tests.conformance.client import Refused, error_name
from tests.conformance.differences import known

if TYPE_CHECKING:
    from collections.abc import Iterable

TOO_COMPLEX = 2002
"""The one code that may be answered instead: it stands for a depth limit that this service does not have."""

_OWN_FAULT = frozenset(
    {
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)


def shown(answer: object) -> str:
    """An answer as text, lists sorted; an error is its reason."""
    if isinstance(answer, Refused):
        return answer.reason
    if isinstance(answer, set | frozenset | list | tuple):
        return "[" + ", ".join(sorted(answer)) + "]"
    return str(answer)


def is_own_fault(answer: object) -> bool:
    """Whether an error says that the service failed, not that the question was wrong."""
    return isinstance(answer, Refused) and answer.status in _OWN_FAULT


class Judge:
    """Collects the answers of one case that are not as expected."""

    def __init__(self, case: str) -> None:
        self._case = case
        self._differs: dict[str, str] = {}
        self._expected: dict[str, str] = {}

    def same(self, question: str, expected: object, answer: object) -> None:
        """The answer must be the expected one; lists are compared as sets, and hold nothing twice."""
        twice = isinstance(answer, list) and len(answer) != len(set(answer))
        if shown(expected) != shown(answer) or twice or is_own_fault(answer):
            self.differs(question, shown(expected), answer)

    def refused(self, question: str, code: int, answer: object) -> None:
        """The answer must be the error with this number of the public interface."""
        if code == TOO_COMPLEX and not isinstance(answer, Refused):
            return
        name = error_name(code)
        if not isinstance(answer, Refused) or answer.reason != name or is_own_fault(answer):
            self.differs(question, name, answer)

    def refused_somehow(self, question: str, answer: object) -> None:
        """The answer must be an error, but none of the service's own."""
        if not isinstance(answer, Refused) or is_own_fault(answer):
            self.differs(question, "an error", answer)

    def answered(self, question: str, answer: object) -> None:
        """The answer must not be an error."""
        if isinstance(answer, Refused):
            self.differs(question, "no error", answer)

    def healthy(self, question: str, answer: object) -> None:
        """Whatever the answer is, the service must not have failed."""
        if is_own_fault(answer):
            self.differs(question, "an answer or an error of the request", answer)

    def lists(self, question: str, answer: object, present: Iterable[str], absent: Iterable[str]) -> None:
        """The answer must be a list with and without some names; a typed wildcard stands for all of its type."""
        if not isinstance(answer, list):
            self.differs(question, "a list", answer)
            return
        listed = set(answer)
        for name in present:
            if name not in listed and f"{name.partition(':')[0]}:*" not in listed:
                self.differs(question, f"with {name}", answer)
        for name in absent:
            if name in listed:
                self.differs(question, f"without {name}", answer)

    def differs(self, question: str, expected: str, answer: object) -> None:
        """Note an answer that is not as expected."""
        detail = str(answer) if isinstance(answer, Refused) else ""
        self._expected[question] = f"expected {expected} {detail}".rstrip()
        self._differs[question] = shown(answer)

    def verdict(self) -> None:
        """Every answer is as expected, or is a known difference that is still there.

        Raises:
            AssertionError: naming each other question, what was expected and what was answered.

        """
        allowed = known(self._case)
        unexpected = [
            f"{question}: {self._expected[question]}, got {answer}"
            for question, answer in self._differs.items()
            if allowed.get(question) != answer
        ]
        stale = [
            f"{question}: listed in differences.py, but is as expected"
            for question in allowed
            if question not in self._differs
        ]
        problems = [*unexpected, *stale]
        assert not problems, f"{self._case}: {len(problems)} of its answers\n" + "\n".join(problems)
