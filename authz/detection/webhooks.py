"""Deliver alerts to one webhook, in order, from a thread of its own. Used by `alerts`.

A receiver that does not answer is asked again, ever more seldom, until the alert is too old; what is lost is logged,
counted and reported to the receiver when it answers again. Every try is signed anew; `id` tells a repetition.
"""

from __future__ import annotations

import http.client
import random
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import structlog

from authz.clock import Clock
from authz.detection.post import Target
from authz.detection.signature import signed_headers

# Answers that may change by themselves, or when someone mends the receiver's configuration.
_PASSING = frozenset({401, 403, 404, 408, 409, 425, 429})

_log = structlog.get_logger(__name__)


class Parcel(NamedTuple):
    """One alert as it is posted."""

    id: str
    body: bytes
    is_critical: bool
    since: float
    """When it was made, by the monotonic clock."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Limits of delivery, in seconds, and how many alerts may wait."""

    timeout: float
    give_up: float
    queue: int
    first_wait: float = 1.0
    longest_wait: float = 60.0


class Webhook:
    """The queue and the thread of one receiver. `put` may be called from any thread."""

    def __init__(
        self,
        target: Target,
        secret: Callable[[], bytes],
        patience: Patience,
        clock: Clock,
        loss_report: Callable[[int], Parcel],
    ) -> None:
        self._target = target
        self._secret = secret
        self._patience = patience
        self._clock = clock
        self._loss_report = loss_report
        self._waiting: deque[Parcel] = deque()
        self._changed = threading.Condition()
        self._closes_at: float | None = None
        self._unreported = 0
        self.delivered = 0
        self.lost = 0
        self._thread = threading.Thread(target=self._run, name="authz-webhook", daemon=True)
        self._random = random.Random()  # noqa: S311 - spreads tries over time

    def start(self) -> None:
        """Begin to deliver."""
        self._thread.start()

    def put(self, parcel: Parcel) -> None:
        """Queue an alert. When the queue is full, a critical one displaces the oldest that is not critical."""
        with self._changed:
            displaced = self._displaced_by(parcel)
            if displaced is not parcel:
                self._waiting.append(parcel)
                self._changed.notify()
        if displaced is not None:
            self._lose(displaced, "queue full or closed")

    def close(self, seconds: float) -> None:
        """Deliver what waits, once and within `seconds`, and end. Blocks for as long."""
        with self._changed:
            self._closes_at = self._clock.monotonic() + seconds
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(seconds)
        with self._changed:
            left, self._waiting = list(self._waiting), deque()
        for parcel in left:
            self._lose(parcel, "stopped")

    def _displaced_by(self, parcel: Parcel) -> Parcel | None:
        """The alert that has to go for another, which may be that other itself."""
        if self._closes_at is not None:
            return parcel
        if len(self._waiting) < self._patience.queue:
            return None
        victim = next((each for each in self._waiting if not each.is_critical), None) if parcel.is_critical else None
        if victim is None:
            return parcel
        self._waiting.remove(victim)
        return victim

    def _run(self) -> None:
        while True:
            parcel = self._next()
            if parcel is None:
                return
            if self._deliver(parcel):
                self.delivered += 1
                self._report_losses()

    def _next(self) -> Parcel | None:
        """The alert to deliver next; None at the end."""
        while True:
            with self._changed:
                if not self._waiting and self._closes_at is None:
                    self._changed.wait(self._patience.longest_wait)
                if self._waiting:
                    return self._waiting.popleft()
                if self._closes_at is not None:
                    return None
            self._report_losses()

    def _deliver(self, parcel: Parcel) -> bool:
        wait = self._patience.first_wait
        while True:
            status, problem = self._try(parcel)
            if 200 <= status < 300:
                return True
            if 300 <= status < 500 and status not in _PASSING:
                return self._lose(parcel, problem)
            pause = wait * self._random.uniform(0.5, 1.0)
            if self._clock.monotonic() - parcel.since + pause > self._patience.give_up:
                return self._lose(parcel, problem)
            with self._changed:
                self._pause(pause)
                if self._closes_at is not None:
                    break
            wait = min(wait * 2, self._patience.longest_wait)
        return self._lose(parcel, problem)

    def _pause(self, seconds: float) -> None:
        """Wait, although more alerts arrive; only the end is worth waking up for. Holds the condition."""
        until = self._clock.monotonic() + seconds
        while self._closes_at is None and (left := until - self._clock.monotonic()) > 0:
            self._changed.wait(left)

    def _try(self, parcel: Parcel) -> tuple[int, str]:
        """The status, 0 for none, and what is wrong with it."""
        seconds = self._patience.timeout
        if self._closes_at is not None:
            seconds = min(seconds, self._closes_at - self._clock.monotonic())
            if seconds <= 0:
                return 0, "stopped"
        headers = {
            "content-type": "application/json",
            "user-agent": "authz",
            **signed_headers(self._secret(), self._clock.now(), parcel.body),
        }
        try:
            status = self._target.post(parcel.body, headers, seconds)
        except (OSError, http.client.HTTPException, ValueError) as error:
            return 0, type(error).__name__
        return status, f"status {status}"

    def _lose(self, parcel: Parcel, why: str) -> bool:
        with self._changed:
            self.lost += 1
            self._unreported += 1
        _log.error("alert_not_delivered", alert_id=parcel.id, webhook=self._target.origin, why=why)
        return False

    def _report_losses(self) -> None:
        """Tell the receiver how many alerts it did not get; tried once now, and again later."""
        with self._changed:
            count = self._unreported
        if not count:
            return
        status, _ = self._try(self._loss_report(count))
        if 200 <= status < 300:
            with self._changed:
                self._unreported -= count
