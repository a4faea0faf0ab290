"""Where this service answers differently from the conformance data, on purpose. Read by the tests of this folder.

Each entry is one question and our answer to it. A test fails when the difference is gone, so no entry goes stale.
"""

from __future__ import annotations

from typing import NamedTuple


class Difference(NamedTuple):
    """One answer that differs from the data on purpose."""

    case: str
    """Id of the case, without its mode (written or contextual)."""
    question: str
    """Label of the question within the case."""
    ours: str
    """Our answer, as `shown` gives it."""
    reason: str


_CYCLE = (
    "a user that reaches the subtracted relation only through a cycle of tuples does not have it (well-founded set"
    " semantics, see tests/support/reference.py); the other engine counts the cycle as met and denies"
)

DIFFERENCES: tuple[Difference, ...] = (
    Difference("fuzz/case-0080", "9 check user:3 r3 group:3", "True", _CYCLE),
    Difference("fuzz/case-0080", "9 batch check user:3 r3 group:3", "True", _CYCLE),
    Difference("fuzz/case-0080", "15 list_objects user:2 r3 group", "[group:3]", _CYCLE),
    Difference("fuzz/case-0080", "21 list_users r3 group:3 ['user']", "[user:2, user:3]", _CYCLE),
    Difference("fuzz/case-0082", "19 list_objects employee:2 r1 team", "[team:2]", _CYCLE),
    Difference("fuzz/case-0112", "17 list_objects user:* r2 group", "[group:2]", _CYCLE),
    Difference("fuzz/case-0153", "6 check user:3 r1 team:2", "True", _CYCLE),
    Difference("fuzz/case-0153", "6 batch check user:3 r1 team:2", "True", _CYCLE),
)


def known(case: str) -> dict[str, str]:
    """The labels of a case's questions that are answered differently, with our answers."""
    return {difference.question: difference.ours for difference in DIFFERENCES if difference.case == case}
