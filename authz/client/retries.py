"""When a failed call is made again, and after which pause. Used by both clients around every call.

Only what is safe is repeated:

- a question, when no server answered;
- a write or anything else that changes something, only when it was certainly not applied: another write won (ABORTED),
  or the service refused it for its rate before looking at it;
- a write whose options make it idempotent, like a question. When others undo it between two of its attempts, the later
  attempt does it again: it counts as one write that took effect last;
- any call once, when its access token was refused and another can be had.

A refusal for the rate is repeated only when the service says when to come again (RetryInfo), and not before. The
deadline of a call holds for all of its attempts and pauses together. The budget keeps retries from multiplying the
load on a service that is in trouble: each failure takes one from it, each success puts a tenth back, and below half of
it nothing is repeated.
"""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from authz.client.errors import Conflict, DeadlineExceeded, RateLimited, Unauthenticated, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz.client.errors import ClientError

_REFILL = 0.1
_SPREAD = 0.1

_random = random.Random()  # noqa: S311 - spreads retries, is no secret


class Repeat(Enum):
    """What may be made again after a failure."""

    ALWAYS = "always"
    IF_NOT_APPLIED = "if not applied"


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how fast: at most `attempts` in all; pauses, in seconds, grow from `first` to `longest`.

    `budget` is how many failures in a row turn retries off: twice as many as may be repeated at once.
    """

    attempts: int = 4
    first: float = 0.05
    longest: float = 1.0
    budget: float = 20.0

    def __post_init__(self) -> None:
        if self.attempts < 1 or not 0 < self.first <= self.longest or self.budget <= 0:
            raise ValueError("a retry policy needs at least one attempt, and pauses and a budget above zero")


class RetryBudget:
    """Shared by all calls of one client. Safe to use from several threads."""

    def __init__(self, size: float) -> None:
        self._size = size
        self._left = size
        self._lock = threading.Lock()

    def failed(self) -> bool:
        """A call failed for want of a server; returns whether it may be repeated."""
        with self._lock:
            self._left = max(0.0, self._left - 1)
            return self._left > self._size / 2

    def succeeded(self) -> None:
        """A call was answered."""
        if self._left < self._size:
            with self._lock:
                self._left = min(self._size, self._left + _REFILL)


class Attempts:
    """The attempts of one call. `timeout` is in seconds, from now; `can_renew` is whether another token can be had."""

    def __init__(
        self,
        policy: RetryPolicy,
        budget: RetryBudget,
        repeat: Repeat,
        timeout: float,
        clock: Callable[[], float],
        *,
        can_renew: bool,
    ) -> None:
        self._policy = policy
        self._budget = budget
        self._repeat = repeat
        self._clock = clock
        self._ends = clock() + timeout
        self._made = 0
        self._can_renew = can_renew
        self.may_have_applied = False
        """Whether an attempt that failed may have changed something."""

    def left(self) -> float:
        """Seconds that the next attempt may take.

        Raises:
            DeadlineExceeded: none.

        """
        left = self._ends - self._clock()
        if left <= 0:
            raise DeadlineExceeded("the time of the call has passed", may_have_applied=self.may_have_applied)
        return left

    def failed(self, error: ClientError) -> float:
        """The pause in seconds before the next attempt.

        Raises:
            ClientError: the one given, when there must be none.

        """
        self._made += 1
        self.may_have_applied = error.may_have_applied = self.may_have_applied or error.may_have_applied
        if isinstance(error, Unauthenticated) and self._can_renew:
            self._can_renew = False
            return 0.0
        if not self._may_repeat(error) or self._made >= self._policy.attempts:
            raise error
        pause = self._pause(error)
        if self._clock() + pause >= self._ends:
            raise error
        return pause

    def succeeded(self) -> None:
        """The call was answered."""
        self._budget.succeeded()

    def _may_repeat(self, error: ClientError) -> bool:
        if isinstance(error, RateLimited):
            return error.retry_after > 0
        if isinstance(error, DeadlineExceeded):
            self._budget.failed()
            return False
        if isinstance(error, Unavailable):
            return self._budget.failed() and self._repeat is Repeat.ALWAYS
        return isinstance(error, Conflict)

    def _pause(self, error: ClientError) -> float:
        grown: float = min(self._policy.longest, self._policy.first * 2.0 ** (self._made - 1))
        if isinstance(error, RateLimited):
            # Never earlier than told, and not all callers at once.
            return error.retry_after + _random.uniform(0, max(grown, _SPREAD * error.retry_after))
        return _random.uniform(0, grown)
