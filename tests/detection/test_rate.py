"""Call rates: what is told within seconds, and what must never be told."""

from __future__ import annotations

import math
import random

import pytest

from authz.detection import Phase
from authz.settings.detection import Kind, Severity
from tests.detection.support import DAY, HOUR, World, completed, unusual

FLOOD = 10_000 / 60
"""Questions per second of the flood that must be noticed."""


@pytest.mark.parametrize("rate", [FLOOD, 1000.0, 20_000 / 60])
def test_a_quiet_principal_that_floods_is_noticed_within_seconds(rate: float) -> None:
    """
    A hundred checks an hour that turn into ten thousand a minute are critical within five seconds; it is told once, and
    its end is told too.
    """
    world = World()
    assert world.run(2 * HOUR, 100 / HOUR) == []
    (told,) = world.run(5, rate)
    assert (told.kind, told.severity, told.phase) == (Kind.RATE, Severity.CRITICAL, Phase.BEGAN)
    assert told.observed > 50
    assert told.expected < 1
    assert unusual(world.run(300, rate)) == []
    ended = world.run(HOUR, 100 / HOUR)
    assert [each.phase for each in ended if each.phase is Phase.ENDED] == [Phase.ENDED]


@pytest.mark.parametrize("offset", [0.0, 0.25, 0.5, 0.75, 0.99])
def test_when_between_two_ticks_a_flood_begins_does_not_matter(offset: float) -> None:
    """
    A flood is critical at the fourth full second at the latest.
    """
    world = World()
    world.run(HOUR, 100 / HOUR)
    world.second([completed()] * int(FLOOD * (1 - offset)))
    found = world.run(4, FLOOD)
    assert Severity.CRITICAL in [each.severity for each in found]


@pytest.mark.parametrize("workers", [2, 4, 8])
def test_a_flood_that_is_spread_over_workers_is_noticed(workers: int) -> None:
    """
    Each of several workers sees only a part, and knows it.
    """
    world = World(workers=workers)
    world.run(2 * HOUR, 100 / HOUR / workers)
    assert unusual(world.run(10, FLOOD / workers)) != []


def test_batches_count_by_their_items() -> None:
    """
    Ten thousand checks a minute are that many when they come in batches of fifty.
    """
    world = World()
    world.run(HOUR, 100 / HOUR)
    batch = completed(objects=[f"doc:{number}" for number in range(50)])
    found = [each for second in range(5) for each in world.second([batch] * (3 + second % 2))]
    assert [each.severity for each in unusual(found)] == [Severity.CRITICAL]


def test_refused_calls_count_too() -> None:
    """
    Whoever is held back and goes on is not calm.
    """
    world = World()
    world.run(HOUR, 100 / HOUR)
    throttled = completed(code="RESOURCE_EXHAUSTED")
    found = [each for _ in range(5) for each in world.second([throttled] * 167)]
    assert unusual(found) != []


@pytest.mark.parametrize("pause", [1, 2, 3])
def test_bursts_with_pauses_are_noticed(pause: int) -> None:
    """
    A flood that rests every other second is a flood.
    """
    world = World()
    world.run(HOUR, 100 / HOUR)
    found = world.run(40, lambda at: 500 if at % (pause + 1) == 0 else 0)
    assert unusual(found) != []


def test_a_long_flood_below_the_burst_is_noticed() -> None:
    """
    Thirty questions a second are no burst, but kept up for a minute they are far from a hundred an hour.
    """
    world = World()
    world.run(2 * HOUR, 100 / HOUR)
    (told,) = unusual(world.run(60, 30))[:1]
    assert told.kind is Kind.RATE


def test_a_flood_that_goes_on_is_told_again_only_as_lasting() -> None:
    """
    While it lasts it is told every minute, so that a limit is renewed; an alert is due once an hour.
    """
    world = World()
    world.run(HOUR, 100 / HOUR)
    found = world.run(2 * HOUR + 60, FLOOD)
    assert [each.phase for each in found if each.phase is not Phase.LASTS] == [Phase.BEGAN]
    assert len(found) == pytest.approx(121, abs=3)
    assert len([each for each in found if each.is_reminder]) == 2


def test_a_flood_that_lasts_for_long_does_not_become_usual() -> None:
    """
    Nothing is learned while something is unusual: the flood is as unusual in its third hour, and half an hour later.
    """
    world = World()
    world.run(HOUR, 100 / HOUR)
    world.run(3 * HOUR, FLOOD)
    world.silence(HOUR)
    world.run(HOUR, 100 / HOUR)
    assert Severity.CRITICAL in [each.severity for each in unusual(world.run(6, FLOOD))]


def test_after_a_day_it_is_the_new_usual() -> None:
    """
    A service that has grown for good is not limited for ever.
    """
    world = World(burst_rate=5, sustained_rate=1)
    world.run(HOUR, 100 / HOUR)
    world.coarse(25 * HOUR, 10)
    phases = [each.phase for each in world.told if each.phase is not Phase.LASTS]
    assert phases == [Phase.BEGAN, Phase.ENDED]
    assert unusual(world.coarse(HOUR, 10)) == []


# What must not be told.


def test_a_page_with_many_questions_is_no_flood() -> None:
    """
    A few hundred questions within one second, once in a while, are a page that is opened.
    """
    world = World()
    world.run(HOUR, 100 / HOUR)
    for _ in range(20):
        assert world.run(300, lambda at: 300 if at == 150 else 0) == []


def test_a_slow_ramp_is_learned() -> None:
    """
    Growth a hundredfold in four hours is no surprise at any moment.
    """
    world = World()
    world.run(HOUR, 2)
    assert world.run(4 * HOUR, lambda at: 2 * 100 ** (at / (4 * HOUR))) == []


def test_days_and_nights_are_learned() -> None:
    """
    A service that sleeps at night and has its peak at noon is never told; nor is the Monday after a quiet weekend.
    """
    world = World()
    for day in range(8):
        busy = 0.02 if day % 7 in (5, 6) else 1.0
        for minute in range(0, 1440, 10):
            rate = 1 + 60 * busy * max(0.0, math.sin(math.pi * (minute / 1440)) ** 4)
            world.run(6, rate)
            world.silence(594)
    assert world.told == []


def test_bursts_of_a_learned_job_are_usual() -> None:
    """
    A job that asks five thousand questions every ten minutes from the beginning is never told.
    """
    world = World()
    for _ in range(12):
        assert world.run(60, lambda at: 500 if at < 10 else 0.1) == []
        assert world.silence(540) == []


def test_a_new_job_is_told_a_few_times_only() -> None:
    """
    A nightly job that is new is told on its first nights, and then it is usual, weekend or not.
    """
    world = World()
    world.run(HOUR, 1)
    told = []
    for night in range(14):
        told.append(len(unusual(world.run(30, lambda at: 300 if at < 20 else 1))))
        world.run(400, 1)
        world.silence((3 if night == 7 else 1) * DAY)
    assert 1 <= sum(told) <= 6
    assert sum(told[4:]) == 0


@pytest.mark.parametrize("rate", [100, 1000, 5000])
def test_a_new_principal_that_starts_big_is_not_told(rate: int) -> None:
    """
    What was never seen before has no usual to differ from.
    """
    assert World().run(300, rate) == []


def test_a_new_principal_that_warms_up_is_not_told() -> None:
    """
    One call to try, then silence, then all traffic: nothing was known.
    """
    world = World()
    world.run(2, 1)
    world.silence(120)
    assert world.run(120, 200) == []


def test_a_restart_forgets_and_alarms_nobody() -> None:
    """
    A service under full load that is restarted, and whose callers come back with all they have queued, is not told.
    """
    world = World()
    rng = random.Random(7)
    assert world.run(120, lambda at: 2000 if at < 5 else 200 * rng.uniform(0.5, 1.5)) == []
    assert world.run(1200, lambda at: 200 * rng.uniform(0.5, 1.5)) == []


@pytest.mark.parametrize("seed", range(5))
def test_irregular_traffic_is_not_told(seed: int) -> None:
    """
    Traffic with the bursts that people make is never told once its first ten minutes are known.
    """
    world, rng = World(), random.Random(seed)
    assert world.run(2 * HOUR, lambda at: rng.paretovariate(1.5)) == []


def test_an_event_loop_that_stood_still_is_no_burst() -> None:
    """
    When a tick comes ten seconds late, its calls count for ten seconds.
    """
    world = World()
    world.run(HOUR, 40)
    for _ in range(20):
        for _ in range(400):
            world.detector.observe(completed())
        world.clock.move(10)
        assert world.detector.tick() == []
    assert world.detector.tick() == []
