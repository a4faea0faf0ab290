"""Denials, enumeration, wide reading: many questions with the wrong answers, or about too many things."""

from __future__ import annotations

import pytest

from authz.call import Completed
from authz.detection import Deviation
from authz.settings.detection import Kind, Severity
from tests.detection.support import HOUR, World, completed, unusual


def probe(number: int, count: int = 20) -> list[Completed]:
    """Questions about objects that nobody asked about before, all denied."""
    return [completed(objects=[f"doc:{number}-{each}"], decisions=[False]) for each in range(count)]


def known_world() -> World:
    """A principal with a call every ten seconds, known for an hour."""
    world = World()
    world.run(HOUR, 0.1)
    return world


def kinds(found: list[Deviation]) -> set[Kind]:
    """Which kinds began or worsened."""
    return {kind for kind in Kind if unusual(found, kind)}


def test_an_enumeration_is_noticed() -> None:
    """
    A principal that tries object after object without success is told as such, and becomes critical.
    """
    world = known_world()
    for number in range(120):
        world.second(probe(number))
    found = unusual(world.told, Kind.ENUMERATION)
    assert [each.severity for each in found] == [Severity.WARNING, Severity.CRITICAL]
    assert found[0].observed == pytest.approx(220, rel=0.15)
    assert {Kind.DENIALS, Kind.ENUMERATION} <= kinds(world.told)


def test_an_enumeration_in_batches_is_noticed() -> None:
    """
    Items of a batch count one by one.
    """
    world = known_world()
    for number in range(10):
        names = [f"doc:{number}-{each}" for each in range(50)]
        world.second([completed(objects=names, decisions=[False] * 50)])
    assert unusual(world.told, Kind.ENUMERATION) != []


def test_allowed_questions_do_not_hide_an_enumeration() -> None:
    """
    Whoever mixes two allowed questions into each denied one is told nevertheless.
    """
    world = known_world()
    for number in range(60):
        world.second([*probe(number, 10), *[completed()] * 20])
    assert unusual(world.told, Kind.ENUMERATION) != []
    assert unusual(world.told, Kind.DENIALS) == []


def test_a_search_for_stores_is_noticed() -> None:
    """
    Calls that the API refuses count by their store.
    """
    world = known_world()
    for number in range(40):
        world.second([completed(code="PERMISSION_DENIED", store_id=f"01{number:012}{each:012}") for each in range(20)])
    assert unusual(world.told, Kind.ENUMERATION) != []


def test_one_denied_object_is_no_enumeration() -> None:
    """
    A loop that asks the same denied question over and over is a matter of denials.
    """
    world = known_world()
    for _ in range(60):
        world.second([completed(decisions=[False])] * 9)
    assert unusual(world.told, Kind.ENUMERATION) == []
    assert unusual(world.told, Kind.DENIALS) != []


def test_wide_reading_is_noticed() -> None:
    """
    Thousands of distinct objects within a minute are told although every answer is a yes.
    """
    world = known_world()
    for number in range(60):
        names = [f"doc:{number}-{each}" for each in range(50)]
        world.second([completed(objects=names)])
    assert unusual(world.told, Kind.OBJECTS) != []


def test_a_caller_that_is_always_denied_much_is_usual() -> None:
    """
    A page that filters by asking, with nine of ten answers a no, is what it is; twice as much of it too.
    """
    world = World()
    for number in range(20 * 60):
        world.second([*probe(number, 27), *[completed()] * 3])
    assert kinds(world.told) == set()
    for number in range(300):
        world.second([*probe(number, 54), *[completed()] * 6])
    assert kinds(world.told) == set()


def test_a_new_caller_with_many_denials_is_not_told() -> None:
    """
    What was like this from the beginning has nothing to differ from.
    """
    world = World()
    for number in range(300):
        world.second(probe(number, 40))
    assert world.told == []


def test_items_that_failed_and_open_questions_are_no_denials() -> None:
    """
    Only a no is a no; a list call names no object.
    """
    world = known_world()
    for _ in range(30):
        world.second(
            [completed(objects=[""], decisions=[]), completed(objects=["a:1", "a:2"], decisions=[None, None])] * 4
        )
    assert kinds(world.told) <= {Kind.RATE}


def test_callers_that_nobody_knows_are_not_principals() -> None:
    """
    A call without a principal is a failure to authenticate, and counts as nothing else.
    """
    world = World()
    world.second([completed(code="UNAUTHENTICATED")] * 100)
    assert world.detector.principals == 0
