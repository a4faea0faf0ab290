"""Hours of use, networks, and clocks that jump."""

from __future__ import annotations

from datetime import timedelta

import pytest

from authz.detection.habits import MAX_NETWORKS, network_of
from authz.settings.detection import Kind
from tests.detection.support import DAY, HOUR, START, World, completed


def work(world: World, *, peer: str = "10.0.0.1", questions: int = 30) -> None:
    """A little work, far below every floor."""
    for _ in range(12):
        world.second([completed(peer=peer)] * (questions // 10))


def office_days(world: World, days: int, *, peer: str = "10.0.0.1") -> None:
    """Work from nine to noon on so many days; ends at nine on the next."""
    for _ in range(days):
        for _ in range(3):
            work(world, peer=peer)
            world.silence(HOUR - 12)
        world.silence(DAY - 3 * HOUR)


def kinds(world: World) -> list[Kind]:
    """What was told."""
    return [each.kind for each in world.told]


def test_work_at_an_unused_hour_is_told_once() -> None:
    """
    After ten days of mornings, work at night is unusual; the second time it is known.
    """
    world = World()
    office_days(world, 10)
    world.silence(17 * HOUR)
    work(world)
    (told,) = world.told
    assert (told.kind, told.details) == (Kind.HOURS, {"hour": 2})
    world.silence(DAY)
    work(world)
    assert len(world.told) == 1


@pytest.mark.parametrize("shift", [1, 3])
def test_work_beside_the_usual_hours_is_not_told(shift: int) -> None:
    """
    An hour earlier or later is no surprise: summer time begins.
    """
    world = World()
    office_days(world, 10)
    world.silence((24 if shift == 1 else 0) * HOUR + (shift if shift == 3 else -1) * HOUR)
    work(world)
    assert world.told == []


def test_the_first_week_is_not_told() -> None:
    """
    With few days known, no hour is unusual.
    """
    world = World()
    office_days(world, 5)
    world.silence(17 * HOUR)
    work(world)
    assert world.told == []


def test_a_few_questions_at_night_are_not_work() -> None:
    """
    A handful of calls says nothing about hours.
    """
    world = World()
    office_days(world, 10)
    world.silence(17 * HOUR)
    world.run(10, 1)
    assert world.told == []


@pytest.mark.parametrize("jump", [timedelta(hours=8), timedelta(days=400), timedelta(hours=-8), timedelta(days=-400)])
def test_a_clock_that_jumps_alarms_nobody(jump: timedelta) -> None:
    """
    When the wall clock is set, hours are learned anew, and rates do not care.
    """
    world = World()
    office_days(world, 10)
    world.clock.wall += jump
    for _ in range(5):
        work(world)
        world.silence(HOUR)
    assert world.told == []
    world.clock.wall = START
    world.run(HOUR, 0.1)
    assert [each.kind for each in world.run(5, 10_000 / 60)] == [Kind.RATE]


def test_a_monotonic_clock_that_stood_still_breaks_nothing() -> None:
    """
    Two ticks at one moment are one.
    """
    world = World()
    world.run(HOUR, 1)
    world.detector.observe(completed())
    for _ in range(10):
        assert world.detector.tick() == []


def test_a_new_network_is_told_when_the_others_were_stable() -> None:
    """
    A principal that came from one network for days and then comes from another is told, with the network.
    """
    world = World()
    office_days(world, 3)
    work(world, peer="10.0.0.77")
    assert world.told == []
    work(world, peer="203.0.113.9")
    (told,) = world.told
    assert (told.kind, told.details) == (Kind.ADDRESS, {"network": "203.0.113.0/24"})
    work(world, peer="203.0.113.10")
    work(world, peer="198.51.100.1")
    assert len(world.told) == 1


def test_a_second_caller_does_not_hide_behind_the_first() -> None:
    """
    Calls from two addresses within one second are both seen.
    """
    world = World()
    office_days(world, 3)
    world.second([completed(), completed(peer="203.0.113.9"), completed()])
    assert kinds(world) == [Kind.ADDRESS]


def test_a_principal_that_roams_is_not_told() -> None:
    """
    Where new networks come every day, one more is no news; and they are bounded.
    """
    world = World()
    for day in range(MAX_NETWORKS * 2):
        work(world, peer=f"10.{day}.0.1")
        world.silence(DAY / 2)
    assert world.told == []


@pytest.mark.parametrize(
    ("peer", "network"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unix:" + "x" * 100, "unix:" + "x" * 59),
        ("", ""),
    ],
)
def test_networks(peer: str, network: str) -> None:
    """
    An address stands for its site; what is no address stands for itself, cut short.
    """
    assert network_of(peer) == network
