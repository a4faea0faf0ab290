"""Circles of equations: the counting algorithm finds what the definition says, and in time."""

from __future__ import annotations

import os

from hypothesis import given, settings
from hypothesis import strategies as st

from authz.engine.wellfounded import Literal, Rule, WellFounded

EXAMPLES = int(os.environ.get("AUTHZ_PROPERTY_EXAMPLES", "300"))
KEYS = list(range(6))

literals = st.builds(Literal, st.sampled_from(KEYS), st.booleans())
rules = st.builds(
    Rule, st.sampled_from(KEYS), st.lists(literals, max_size=3).map(tuple), st.sampled_from([True, True, True, False])
)


def settle(held: set[int], open_: set[int], given_: list[Rule], keys: list[int] | None = None) -> dict[int, bool]:
    """The values that are settled."""
    steps: list[int] = []
    return WellFounded(keys or KEYS, held, open_, given_, steps.append).settled


def least(held: set[int], open_: set[int], given_: list[Rule], against: set[int], *, is_possible: bool) -> set[int]:
    """The least set that holds when what is negated is judged by another set."""
    found = held | (open_ if is_possible else set())
    while True:
        following = found | {
            rule.head
            for rule in given_
            if (rule.is_certain or is_possible)
            and all((key in found) if is_positive else (key not in against) for key, is_positive in rule.literals)
        }
        if following == found:
            return found
        found = following


def by_alternating_fixpoints(held: set[int], open_: set[int], given_: list[Rule]) -> dict[int, bool]:
    """The definition: Van Gelder 1993."""
    certain: set[int] = set()
    while True:
        possible = least(held, open_, given_, certain, is_possible=True)
        following = least(held, open_, given_, possible, is_possible=False)
        if following == certain:
            break
        certain = following
    return {key: key in certain for key in KEYS if key in certain or key not in possible}


@settings(max_examples=10 * EXAMPLES, deadline=None)
@given(st.sets(st.sampled_from(KEYS), max_size=2), st.sets(st.sampled_from(KEYS), max_size=2), st.lists(rules))
def test_it_is_the_well_founded_model(held: set[int], open_: set[int], given_: list[Rule]) -> None:
    """For facts, open keys, and rules of any kind, contradictory and circular ones too."""
    open_ -= held
    assert settle(held, open_, given_) == by_alternating_fixpoints(held, open_, given_)


def test_a_circle_that_holds_itself_up_holds_nothing() -> None:
    """Nothing settles it from outside."""
    circle = [Rule(0, (Literal(1, True),), True), Rule(1, (Literal(0, True),), True)]
    assert settle(set(), set(), circle, [0, 1]) == {0: False, 1: False}


def test_long_games_cost_as_much_as_their_moves() -> None:
    """A circle of ten thousand negations with one way out is settled in steps that grow with its length alone."""
    spent: list[int] = []
    for count in (1_000, 10_000):
        chain = [Rule(key, (Literal(key + 1, False),), True) for key in range(count - 1)]
        chain.append(Rule(count - 1, (Literal(0, True),), True))
        chain.append(Rule(0, (Literal(1, False), Literal(0, True)), True))
        steps: list[int] = []
        WellFounded(list(range(count)), {count - 2}, set(), chain, steps.append)
        spent.append(sum(steps))
    assert spent[1] < 12 * spent[0]
