"""Memory: bounded whatever callers do, and established principals stay."""

from __future__ import annotations

import os

import pytest

from authz.detection.sketch import BYTES, add, estimate
from authz.settings.detection import Kind, Severity
from tests.detection.support import HOUR, World, completed, unusual

MANY = int(os.environ.get("AUTHZ_MANY_PRINCIPALS", "30000"))
"""A million takes some seconds."""


def test_principals_are_bounded() -> None:
    """
    However many principals call, only so many are remembered, also between two ticks.
    """
    world = World(max_principals=1000)
    for number in range(MANY):
        world.detector.observe(completed(f"issuer/{number}"))
        if number % 10_000 == 0:
            world.second()
    assert world.detector.principals <= 1000
    assert len(world.detector._active) <= 1000
    world.second()
    assert world.detector.principals <= 1000


def test_a_flood_of_newcomers_does_not_displace_who_is_known() -> None:
    """
    After tens of thousands of new principals a known one still has its baseline, and its flood is noticed.
    """
    world = World(max_principals=100)
    world.run(HOUR, 1)
    for number in range(MANY):
        world.detector.observe(completed(f"flood/{number}"))
        if number % 1000 == 0:
            world.second([completed()])
    assert [each.severity for each in unusual(world.run(5, 10_000 / 60))] == [Severity.CRITICAL]


def test_persistent_newcomers_do_not_displace_who_is_active() -> None:
    """
    Newcomers that stay long enough to be known take places that are free or long unused, no others.
    """
    world = World(max_principals=50)
    world.run(2 * HOUR, 0.5)
    crowd = [completed(f"crowd/{number}") for number in range(500)]
    for turn in range(200):
        some = crowd[turn % 10 * 50 :][:50]
        world.second([*some, *([completed()] if turn % 2 else [])])
    assert [each.severity for each in unusual(world.run(5, 10_000 / 60))] == [Severity.CRITICAL]


def test_places_of_the_long_silent_are_given_away() -> None:
    """
    An established principal that was silent for hours gives its place to one that is there.
    """
    world = World(max_principals=10)
    for number in range(8):
        world.run(120, 1, f"old/{number}")
    world.silence(2 * HOUR)
    world.run(HOUR, 1, "new/caller")
    found = world.run(5, 10_000 / 60, "new/caller")
    assert [each.principal for each in unusual(found)] == ["new/caller"]
    assert world.detector.principals <= 10


def test_more_newcomers_than_can_be_watched_are_told() -> None:
    """
    Who makes principals to stay unknown is not seen one by one, and that is told.
    """
    world = World(max_principals=100)
    for number in range(3000):
        world.second([completed(f"flood/{number}")] * 2) if number % 20 == 0 else world.detector.observe(
            completed(f"flood/{number}")
        )
    assert [(each.kind, each.principal) for each in world.told] == [(Kind.PRINCIPALS, "")]


@pytest.mark.parametrize("count", [0, 10, 100, 500, 2000, 5000])
def test_a_sketch_counts_about_right(count: int) -> None:
    """
    Within a tenth up to five thousand, however often each thing is seen.
    """
    bits = bytearray(BYTES)
    for number in range(count):
        add(bits, f"doc:{number}")
        add(bits, f"doc:{number}")
    assert estimate(bits) == pytest.approx(count, rel=0.1, abs=2)
    assert estimate(bits, bits) == estimate(bits)
    assert estimate() == 0


def test_a_full_sketch_is_many() -> None:
    """
    A sketch that is full says so with a large number, not with an error.
    """
    assert estimate(bytes([255] * BYTES)) > 15_000


def test_calls_between_the_slices_of_a_tick_are_counted() -> None:
    """
    While a tick gives the event loop its turn, calls go on, and none is lost or counted twice.
    """
    world = World()
    callers = [completed(f"issuer/{number}") for number in range(1000)]
    for _ in range(3):
        for call in callers:
            world.detector.observe(call)
        world.clock.move(1)
        for _found in world.detector.sweep():
            for call in callers:
                world.detector.observe(call)
    world.second()
    counted = sum(profile.window_questions for profile in world.detector._profiles.values())
    assert counted == 1000 * 3 * (1 + 6)


def test_odd_calls_break_nothing() -> None:
    """
    The detector is told of every call, whatever is missing in it.
    """
    world = World()
    for code in ("OK", "PERMISSION_DENIED", "INTERNAL", "CANCELLED", "RESOURCE_EXHAUSTED", "?"):
        for objects, decisions in (
            ([], []),
            (["a:1"], []),
            (["a:1", "a:2"], [True]),
            ([""], [None]),
            (["", ""], [False] * 2),
        ):
            world.detector.observe(completed(objects=objects, decisions=decisions, code=code, peer="", store_id=""))
    world.second()
    assert world.detector.principals == 1
