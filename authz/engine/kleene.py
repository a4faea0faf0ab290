"""Truth in the engine: Kleene's three values, with the third one split by why an answer is open.

    ALLOWED      true
    UNKNOWN      open: rows are not in memory; fetch them and ask again
    CONDITIONAL  open: a condition's parameters are missing, or its evaluation failed
    UNDEFINED    open for ever: the answer depends on its own negation (a paradox in the data); denied at the top
    DENIED       false

A definite operand decides over an open one: true or open is true, false and open is false. Among open operands the
one that has to be settled first is reported. Kleene, "Introduction to Metamathematics" (1952), section 64.
"""

from __future__ import annotations

from enum import Enum


class Value(Enum):
    """The value of a sub-question."""

    ALLOWED = 4
    UNKNOWN = 3
    CONDITIONAL = 2
    UNDEFINED = 1
    DENIED = 0


ALLOWED = Value.ALLOWED
UNKNOWN = Value.UNKNOWN
CONDITIONAL = Value.CONDITIONAL
UNDEFINED = Value.UNDEFINED
DENIED = Value.DENIED


def either(left: Value, right: Value) -> Value:
    """Disjunction."""
    return left if left.value >= right.value else right


def both(left: Value, right: Value) -> Value:
    """Conjunction."""
    if left is DENIED or right is DENIED:
        return DENIED
    if left is ALLOWED:
        return right
    return left if right is ALLOWED else either(left, right)


def negate(value: Value) -> Value:
    """Negation; an open value stays open."""
    if value is ALLOWED:
        return DENIED
    return ALLOWED if value is DENIED else value


def at_most_conditional(value: Value) -> Value:
    """The value of something that also needs a condition which has no value."""
    return CONDITIONAL if value is ALLOWED else value
