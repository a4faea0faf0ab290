"""Cheap limits on addresses, before anybody is authenticated, and on failed authentications. Asked by the edge.

Every address has an allowance of calls. Failed authentications have one of their own: an address, and likewise a
claimed subject, that uses it up must wait a second before the next attempt, and twice as long after every further
failure. Both are slowed down only where credentials would be verified, so that nobody can keep out somebody whose
token is known already, be it from the same address.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address, ip_address

from authz.access.limits.account import EPSILON, Accounts, pace_of, wait_for
from authz.clock import Clock
from authz.settings.limits import LimitsSettings, quota

FIRST_DELAY = 1.0
"""Seconds after the first failure too many."""

_NETWORK_BITS = 64


class _Peer:
    """What is known of an address or a claimed subject."""

    __slots__ = ("calm_at", "due", "failures_due", "ready_at", "strikes")

    def __init__(self, _key: str = "") -> None:
        self.due = 0.0
        self.failures_due = 0.0
        self.ready_at = 0.0
        self.calm_at = 0.0
        self.strikes = 0

    def is_idle(self, now: float) -> bool:
        return self.due <= now and self.failures_due <= now and self.calm_at <= now


class PeerLimiter:
    """Who may try to authenticate. For one process, whose share of the rates it allows."""

    def __init__(self, settings: LimitsSettings, clock: Clock, workers: int = 1) -> None:
        share = 1 / workers
        self._pace = pace_of(*quota(settings.peer), share=share)
        self._failures = pace_of(*quota(settings.failures), share=share)
        self._max_delay = settings.max_failure_delay
        self._monotonic = clock.monotonic
        self._peers = Accounts(settings.max_tracked, _Peer, _Peer())
        self._subjects = Accounts(settings.max_tracked, _Peer, _Peer())
        self.refused = 0
        """How many calls were not admitted."""
        self.failures = 0
        """How many authentications failed."""

    def admit(self, peer: str) -> float | None:
        """None when an address may call now, else how many seconds it must wait for its rate. Counts one call."""
        network = network_of(peer)
        now = self._monotonic()
        account = self._peers.known(network)
        if account is None:
            account = self._peers.open(network, now)
        due = account.due if account.due > now else now
        wait = wait_for(due, self._pace, 1, now)
        if wait > EPSILON:
            self.refused += 1
            return wait
        account.due = due + self._pace.interval
        return None

    def admit_proof(self, peer: str) -> float | None:
        """None when an address may prove who calls, else the seconds to wait after failures. Counts nothing."""
        return self._delay(self._peers.known(network_of(peer)))

    def admit_subject(self, subject: str) -> float | None:
        """As `admit_proof`, for the subject that unverified credentials claim."""
        return self._delay(self._subjects.known(subject))

    def _delay(self, account: _Peer | None) -> float | None:
        if account is None:
            return None
        wait = account.ready_at - self._monotonic()
        if wait > EPSILON:
            self.refused += 1
            return wait
        return None

    def failed(self, peer: str, subject: str = "") -> None:
        """Count a failed authentication against an address, and against the subject that it claimed, if it did."""
        self.failures += 1
        now = self._monotonic()
        self._strike(self._peers, network_of(peer), now)
        if subject:
            self._strike(self._subjects, subject, now)

    def _strike(self, accounts: Accounts[_Peer], key: str, now: float) -> None:
        account = accounts.known(key) or accounts.open(key, now)
        if account.ready_at > now:  # failures of calls that were under way already are one failure
            return
        if account.calm_at <= now:
            account.strikes = 0
            due = max(account.failures_due, now)
            if wait_for(due, self._failures, 1, now) <= EPSILON:
                account.failures_due = due + self._failures.interval
                return
        delay = min(FIRST_DELAY * 2.0 ** min(account.strikes, 64), self._max_delay)
        account.strikes += 1
        account.ready_at = now + delay
        account.calm_at = account.ready_at + self._max_delay


@lru_cache(maxsize=65_536)
def network_of(peer: str) -> str:
    """What is counted as one address: an IPv4 address, or the /64 of an IPv6 address, which is what one host gets."""
    try:
        address = ip_address(peer)
    except ValueError:
        return peer
    if not isinstance(address, IPv6Address):
        return peer
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(IPv6Address(int(address) >> _NETWORK_BITS << _NETWORK_BITS))
