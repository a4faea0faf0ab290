"""What workers tell each other through shared memory: nothing is lost, and nobody is told of himself."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.index.signal import SharedCounters, model_key

STORE, OTHER = "01ARZ3NDEKTSV4RRFFQ69G5FAV", "01BX5ZZKBKACTAV9WEVGEMMVRZ"


@pytest.fixture
def three() -> Iterator[list[SharedCounters]]:
    """The ends of three workers."""
    descriptor = SharedCounters.create(3)
    ends = [SharedCounters(descriptor, worker, 3) for worker in range(3)]
    os.close(descriptor)
    yield ends
    for end in ends:
        end.close()


def test_the_others_are_told(three: list[SharedCounters]) -> None:
    """
    Each raise changes the state of the key for every other worker, not for the one that raised it, nor of other keys.
    """
    for raising in three:
        before = [(end.state(STORE), end.state(OTHER), end.state(model_key(STORE))) for end in three]
        raising.raise_(STORE)
        for end, (state, other, model) in zip(three, before, strict=True):
            assert (end.state(STORE) != state) is (end is not raising)
            assert (end.state(OTHER), end.state(model_key(STORE))) == (other, model)


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from([STORE, OTHER, "directives", "\ud800"])), max_size=50))
def test_a_state_never_comes_back(raised: list[tuple[int, str]]) -> None:
    """
    Whatever the order, a state that was left is never seen again: whoever looks later sees that something happened.
    """
    descriptor = SharedCounters.create(3)
    ends = [SharedCounters(descriptor, worker, 3) for worker in range(3)]
    os.close(descriptor)
    seen = [{STORE: [end.state(STORE)], OTHER: [end.state(OTHER)]} for end in ends]
    for worker, key in raised:
        ends[worker].raise_(key)
        for end, states in zip(ends, seen, strict=True):
            for looked, before in states.items():
                state = end.state(looked)
                if state != before[-1]:
                    assert state not in before
                    before.append(state)
    for end in ends:
        end.close()


def test_a_successor_goes_on_with_the_count() -> None:
    """
    A worker that takes the place of one that ended raises further, and is told by the others from the first look on.
    """
    descriptor = SharedCounters.create(2)
    one, two = SharedCounters(descriptor, 0, 2), SharedCounters(descriptor, 1, 2)
    two.raise_(STORE)
    before = one.state(STORE)
    two.close()
    two = SharedCounters(descriptor, 1, 2)
    assert one.state(STORE) == before
    two.raise_(STORE)
    assert one.state(STORE) not in (before, bytes(8))
    one.close()
    two.close()
    os.close(descriptor)


_RAISE = """
import sys
from authz.index.signal import SharedCounters
end = SharedCounters(int(sys.argv[1]), int(sys.argv[2]), 4)
for _ in range(20_000):
    end.raise_("store")
print("done", flush=True)
sys.stdin.read()
"""


def test_processes_at_once_lose_nothing() -> None:
    """
    Three processes raise the same key at once: a fourth finds every single one counted.
    """
    descriptor = SharedCounters.create(4)
    started = [
        subprocess.Popen(
            [sys.executable, "-c", _RAISE, str(descriptor), str(worker)],
            pass_fds=(descriptor,),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for worker in range(3)
    ]
    for process in started:
        process.communicate(b"", timeout=60)
    looking = SharedCounters(descriptor, 3, 4)
    state = looking.state("store")
    assert [int.from_bytes(state[place : place + 8], sys.byteorder) for place in (0, 8, 16)] == [20_000] * 3
    looking.close()
    os.close(descriptor)


def test_a_raise_is_seen_by_whoever_hears_of_it(three: list[SharedCounters]) -> None:
    """
    Whoever is told of a commit after it was raised sees another state, every time.
    """
    heard, answered = threading.Event(), threading.Event()
    failures: list[int] = []

    def look() -> None:
        before = three[1].state(STORE)
        for number in range(500):
            heard.wait(5)
            heard.clear()
            state = three[1].state(STORE)
            if state == before:
                failures.append(number)
            before = state
            answered.set()

    looking = threading.Thread(target=look)
    looking.start()
    for _ in range(500):
        three[0].raise_(STORE)
        heard.set()
        answered.wait(5)
        answered.clear()
    looking.join(5)
    assert not failures
