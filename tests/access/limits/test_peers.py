"""Limits on addresses and on failed authentications."""

from __future__ import annotations

from typing import Any

import pytest

from authz.access.limits.peers import PeerLimiter, network_of
from authz.settings.limits import LimitsSettings
from tests.access.limits.support import StillClock


def limiter(clock: StillClock, **settings: Any) -> PeerLimiter:
    """A limiter that allows three failures a minute, and delays of at most a minute."""
    return PeerLimiter(LimitsSettings(**{"failures": "3/minute", "max_failure_delay": 60, **settings}), clock)


def test_an_address_has_its_rate() -> None:
    """Calls beyond the rate are refused with the time to wait; other addresses are not concerned."""
    peers = limiter(StillClock(), peer="10/second")
    assert [peers.admit("10.0.0.1") for _ in range(10)] == [None] * 10
    assert peers.admit("10.0.0.1") == pytest.approx(0.1)
    assert peers.admit("10.0.0.2") is None
    assert peers.refused == 1


@pytest.mark.parametrize(
    ("peer", "network"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::9", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("unix", "unix"),
    ],
)
def test_what_counts_as_one_address(peer: str, network: str) -> None:
    """A host of IPv6 has a /64 to choose from, which is one address here; IPv4 within IPv6 is IPv4."""
    assert network_of(peer) == network


def failing(clock: StillClock, peers: PeerLimiter, subject: str = "") -> list[float]:
    """What a peer waits that fails whenever it may: the first twelve waits."""
    waits: list[float] = []
    while len(waits) < 12:
        wait = peers.admit_proof("10.0.0.1")
        if wait is None:
            peers.failed("10.0.0.1", subject)
        else:
            waits.append(wait)
            clock.time += wait
    return waits


def test_failures_slow_down_twice_as_much_each_time() -> None:
    """After the allowed failures every further one doubles the wait, up to the bound."""
    clock = StillClock()
    peers = limiter(clock)
    assert failing(clock, peers) == pytest.approx([1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60, 60])
    assert peers.failures == 3 + 12


def test_some_failures_are_nobody_to_punish() -> None:
    """Mistakes now and then never slow anybody down."""
    clock = StillClock()
    peers = limiter(clock)
    for _ in range(100):
        peers.failed("10.0.0.1")
        clock.time += 20
        assert peers.admit_proof("10.0.0.1") is None


def test_calm_is_restored() -> None:
    """Who has not failed for as long as the longest delay begins anew."""
    clock = StillClock()
    peers = limiter(clock)
    failing(clock, peers)
    clock.time += 200
    for _ in range(4):
        peers.failed("10.0.0.1")
    assert peers.admit_proof("10.0.0.1") == pytest.approx(1)


def test_failures_of_calls_under_way_are_one_failure() -> None:
    """A hundred calls that were all admitted before the first failed double the delay once, not a hundred times."""
    clock = StillClock()
    peers = limiter(clock)
    for _ in range(100):
        peers.failed("10.0.0.1")
    assert peers.admit_proof("10.0.0.1") == pytest.approx(1)


def test_a_claimed_subject_is_slowed_down_from_whatever_address() -> None:
    """Guessing at one subject from many addresses slows down attempts at this subject, and at no other."""
    clock = StillClock()
    peers = limiter(clock)
    for number in range(10):
        peers.failed(f"10.0.0.{number}", "okta/anne")
    assert peers.admit_subject("okta/anne") == pytest.approx(1)
    assert peers.admit_subject("okta/bob") is None
    assert peers.admit_proof("10.0.0.1") is None


def test_failures_do_not_use_up_the_rate() -> None:
    """Whoever is known already calls on from an address of which others fail."""
    peers = limiter(StillClock(), peer="10/second")
    for _ in range(100):
        peers.failed("10.0.0.1")
    assert [peers.admit("10.0.0.1") for _ in range(10)] == [None] * 10


def test_a_flood_of_addresses_frees_nobody() -> None:
    """However many addresses fail or call, one that must wait still must, and the table stays within its bound."""
    clock = StillClock()
    peers = limiter(clock, max_tracked=100)
    for _ in range(4):
        peers.failed("10.0.0.1")
    for number in range(5000):
        peer = f"2001:db8:0:{number:x}::1"
        peers.admit(peer)
        peers.failed(peer, f"subject {number}")
    assert peers.admit_proof("10.0.0.1") == pytest.approx(1)


def test_without_room_newcomers_share_one_allowance() -> None:
    """When more addresses are at work than can be told apart, those beyond are one address."""
    peers = limiter(StillClock(), max_tracked=10, peer="1/minute")
    assert sum(peers.admit(f"10.0.0.{number}") is None for number in range(100)) == 11
