"""The arithmetic of allowances, held against a bucket that is filled and emptied naively; and the table of accounts."""

from __future__ import annotations

import random

from hypothesis import assume, given
from hypothesis import strategies as st

from authz.access.limits.account import LOOKS, Accounts, Pace, pace_of
from authz.access.limits.limiter import Holder
from authz.access.limits.work import Work

CHECK = Work.CHECK
NEAR = 1e-6

paces = st.builds(
    pace_of,
    st.floats(0.01, 100_000),
    st.sampled_from([1.0, 60.0, 3600.0]),
    burst=st.floats(0.1, 10),
    share=st.sampled_from([1.0, 0.5, 1 / 3]),
)
# How many intervals pass before each call, and what it costs.
calls = st.lists(st.tuples(st.floats(0, 20), st.floats(0.1, 30)), max_size=60)


def holder_of(pace: Pace) -> Holder:
    """A holder with one pace for everything."""
    return Holder((pace,) * len(Work))


class NaiveBucket:
    """A bucket of units, filled as time goes by."""

    def __init__(self, pace: Pace) -> None:
        self.size = pace.depth / pace.interval
        self.level = self.size
        self._interval = pace.interval

    def pass_time(self, seconds: float) -> None:
        """Fill it."""
        self.level = min(self.size, self.level + seconds / self._interval)

    def lacks(self, cost: float) -> float:
        """How many units are missing; not above 0 when there are enough."""
        return min(cost, self.size) - self.level


@given(paces, calls)
def test_agrees_with_a_bucket(pace: Pace, calls: list[tuple[float, float]]) -> None:
    """Whatever comes when, exactly those calls are admitted for which a naive bucket has enough."""
    holder, bucket, now = holder_of(pace), NaiveBucket(pace), 0.0
    for intervals, cost in calls:
        now += intervals * pace.interval
        bucket.pass_time(intervals * pace.interval)
        assume(abs(bucket.lacks(cost)) > NEAR)
        wait = holder.take(CHECK, cost, now)
        assert (wait is None) == (bucket.lacks(cost) < 0)
        if wait is None:
            bucket.level -= cost


@given(paces, calls)
def test_never_admits_more_than_rate_and_burst(pace: Pace, calls: list[tuple[float, float]]) -> None:
    """Over any stretch of time no more is admitted than the rate times the time, and one burst."""
    holder, now = holder_of(pace), 50.0
    burst = pace.depth / pace.interval
    admitted: list[tuple[float, float]] = []
    for intervals, cost in calls:
        now += intervals * pace.interval
        if cost <= burst and holder.take(CHECK, cost, now) is None:
            admitted.append((now, cost))
    for first in range(len(admitted)):
        total = 0.0
        for when, cost in admitted[first:]:
            total += cost
            assert total <= (when - admitted[first][0]) / pace.interval + burst + NEAR * (1 + total)


@given(paces, calls)
def test_the_wait_is_right(pace: Pace, calls: list[tuple[float, float]]) -> None:
    """Who waits as long as told is admitted; who comes a little earlier is not."""
    holder, now = holder_of(pace), 50.0
    for intervals, cost in calls:
        now += intervals * pace.interval
        wait = holder.take(CHECK, cost, now)
        if wait is None:
            continue
        assert wait > 0
        if wait > 1e-5:
            assert holder.take(CHECK, cost, now + wait - 2e-6) is not None
        assert holder.take(CHECK, cost, now + wait) is None
        now += wait


@given(paces, st.floats(1.01, 50))
def test_a_call_dearer_than_everything_is_paid_off(pace: Pace, times: float) -> None:
    """A call that costs more than the whole allowance is admitted once it is whole; in the long run the rate holds."""
    holder, burst = holder_of(pace), pace.depth / pace.interval
    cost = burst * times
    assert holder.take(CHECK, cost, 0.0) is None
    wait = holder.take(CHECK, cost, 0.0)
    assert wait is not None
    assert abs(wait - cost * pace.interval) <= NEAR * wait


def test_classes_are_counted_apart() -> None:
    """Nothing taken of one class is missing in another."""
    holder = holder_of(pace_of(1, 60))
    assert [holder.take(work, 1, 5.0) for work in Work] == [None] * len(Work)
    assert all(holder.take(work, 1, 5.0) for work in Work)


def accounts_of(most: int, pace: Pace) -> Accounts[Holder]:
    """A table of holders."""
    return Accounts(most, lambda _: holder_of(pace), holder_of(pace))


def take(accounts: Accounts[Holder], key: str, now: float) -> float | None:
    """Take one unit."""
    return (accounts.known(key) or accounts.open(key, now)).take(CHECK, 1, now)


def test_newcomers_reset_nobody() -> None:
    """However many newcomers there are, an allowance that is spent stays spent, and the table stays small."""
    accounts = accounts_of(100, pace_of(1, 60))
    assert take(accounts, "spent", 0.0) is None
    for number in range(10_000):
        take(accounts, f"newcomer {number}", number / 1000)
        assert len(accounts) <= 100
    assert take(accounts, "spent", 10.0) is not None


def test_newcomers_share_an_allowance_while_there_is_no_room() -> None:
    """A table full of those who have spent something gives all newcomers together one allowance."""
    accounts = accounts_of(100, pace_of(1, 60))
    admitted = [number for number in range(10_000) if take(accounts, f"newcomer {number}", 0.0) is None]
    assert len(admitted) == 101


def test_idle_accounts_make_room() -> None:
    """Who has been away gives up his place, even if few are idle among many who are not."""
    accounts = accounts_of(100, pace_of(1, 60))
    for number in range(50):
        take(accounts, f"early {number}", 0.0)
    for number in range(50):
        take(accounts, f"busy {number}", 59.0)
    # The idle ones are found within a few tries, for every try looks at some.
    found = sum(take(accounts, f"late {number}", 61.0) is None for number in range(60))
    assert found >= 50
    assert all(accounts.known(f"busy {number}") for number in range(50))


def test_looking_for_room_is_bounded() -> None:
    """A newcomer to a full table looks at a few accounts, not at all of them."""
    looked = 0

    class Busy:
        def is_idle(self, _now: float) -> bool:
            nonlocal looked
            looked += 1
            return False

    accounts = Accounts(5000, lambda _: Busy(), Busy())
    for number in range(5000):
        accounts.open(str(number), 0.0)
    looked = 0
    chance = random.Random(7)
    for _ in range(100):
        accounts.open(str(chance.random()), 0.0)
    assert looked == 100 * LOOKS
