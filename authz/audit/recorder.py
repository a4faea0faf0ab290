"""The queue between calls and sinks, one a process. Called by `rpc` at every call; writes in batches to the sinks.

A call is admitted while there is room for its record, and the record of an admitted call is always taken. Records are
rendered, sealed and written off the path of calls, within the flush interval or when many wait; what a sink fails to
take is written again until it does. Nothing is dropped: while records cannot be written, calls are refused or wait.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from typing import Any, Literal, NamedTuple

import structlog

from authz.audit.captures import Captures
from authz.audit.chain import Payload
from authz.audit.delivery import Delivery
from authz.audit.floods import SUMMED, WINDOW, Floods
from authz.audit.payloads import body_within, call_payload, note_payload
from authz.audit.redaction import Redaction
from authz.audit.sinks.sink import Sink
from authz.call import Completed
from authz.clock import Clock
from authz.errors import Unavailable

BATCH = 2000
"""About how many records, or items of batches, are written at once."""
EAGER = 1000
"""When so many wait they are written at once."""
LARGE = 256
"""From how many records on they are rendered off the event loop; fewer take less time than the hop and its wake-ups."""
FAILED_SECONDS = 1.0
"""After how long a batch is delivered again that failed in an unforeseen way."""
BODY_UNIT = 512
"""So many bytes of a captured body weigh as much as a record."""

_log = structlog.get_logger(__name__)


class Policy(NamedTuple):
    """How a recorder behaves; the settings of the same names say more."""

    on_failure: Literal["refuse", "block"] = "refuse"
    flush_interval: float = 0.1
    queue: int = 20_000
    failure_grace: float = 2.0
    capture_bytes: int = 16_384


class Statistics(NamedTuple):
    """Counts since the start, and what waits now."""

    queued: int
    capacity: int
    written: int
    failures: int
    blocked: int
    refused: int
    summed: int
    """Refusals that were recorded in sums."""
    lost: int
    """Records that could not be written before the end."""
    oldest_age: float
    """Seconds since the oldest record that waits was made."""
    by_sink: dict[str, tuple[int, int]]
    """Records written and failed attempts of each sink."""


class _Captured(NamedTuple):
    completed: Completed
    body: Any


_Entry = Completed | Payload | _Captured


class Recorder:
    """See the module. Used on the event loop only; `start` it there, and `close` it last."""

    def __init__(
        self, sinks: Sequence[Sink], policy: Policy, redaction: Redaction, captures: Captures, clock: Clock
    ) -> None:
        self._policy = policy
        self._redaction = redaction
        self._captures = captures
        self._clock = clock
        self._delivery = Delivery(sinks, policy.failure_grace, clock, self._health_changed)
        self._floods = Floods(clock.monotonic)
        self._queue: deque[_Entry] = deque()
        self._weight = self._recorded = self._written = 0
        self._blocked = self._refused = self._summed = self._lost = 0
        self._is_full = False
        self._rooms: set[asyncio.Future[None]] = set()
        self._waiters: dict[asyncio.Future[None], int] = {}
        self._oldest = 0.0
        self._wake = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._window: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_closed = False
        self._is_recording = bool(sinks)

    def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.create_task(self._write_forever())

    def admit(self) -> Awaitable[None] | None:
        """Room for the record of a call that begins: None when there is, else something to await.

        Raises:
            Unavailable: there is none, and calls are to be refused then; from what is awaited, too.

        """
        if not self._is_full:
            return None
        if self._policy.on_failure != "refuse":
            self._blocked += 1
            return self._wait_for_room()
        if self._delivery.is_failing:
            self._refused += 1
            raise _unwritable()
        # More is asked than can be recorded: who asks waits for what is being written, and so asks less.
        self._blocked += 1
        return self._wait_or_refuse()

    def record(self, completed: Completed) -> None:
        """Take the record of a call. Lets go of its body, which holds the request, unless a capture wants it."""
        entry: _Entry = completed
        weight = len(completed.keys) or 1
        if completed.body is not None:
            if self._captures.is_active and self._captures.matches(completed):
                entry, weight = self._captured(completed, weight)
            completed.body = None
        if completed.code != "OK" and self._is_summed(completed):
            return
        self._add(entry, weight)

    def tell(self, payload: Payload) -> None:
        """Record what is no call: a note, a copy of a change or of a checkpoint."""
        self._add(payload, 1)

    async def durable(self) -> None:
        """Wait until all that was recorded so far is written; those who wait at the same time share a write.

        Raises:
            Unavailable: it cannot be written now, and calls are to be refused then. It still will be when it can.

        """
        if self._written >= self._recorded:
            return
        if self._delivery.is_failing and self._policy.on_failure == "refuse":
            raise _unwritable()
        await self._flushed()

    async def flush(self) -> None:
        """Wait until all that was recorded so far is written, however long that takes."""
        target = self._recorded
        while self._written < target:
            try:
                await self._flushed()
            except Unavailable:
                continue  # told once; it is waited for what comes after

    async def close(self, within: float) -> int:
        """Write what waits, for at most `within` seconds; returns how many records are lost, after telling so."""
        if self._window is not None:
            self._window.cancel()
        self._take_sums()
        try:
            await asyncio.wait_for(self.flush(), within)
        except TimeoutError:
            self._lost = self._recorded - self._written
            _log.error("audit_records_lost", count=self._lost, summed_refusals=len(self._floods))
        self._is_closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for timer in (self._timer, self._window):
            if timer is not None:
                timer.cancel()
        await self._delivery.close()
        return self._lost

    @property
    def is_healthy(self) -> bool:
        """Whether calls are admitted."""
        return not self._is_full

    def statistics(self) -> Statistics:
        """How the recorder fares."""
        return Statistics(
            queued=self._weight,
            capacity=self._policy.queue,
            written=self._written,
            failures=sum(self._delivery.failures.values()),
            blocked=self._blocked,
            refused=self._refused,
            summed=self._summed,
            lost=self._lost,
            oldest_age=self._clock.monotonic() - self._oldest if self._weight else 0.0,
            by_sink={name: (done, self._delivery.failures[name]) for name, done in self._delivery.written.items()},
        )

    def _add(self, entry: _Entry, weight: int) -> None:
        if not self._is_recording:
            return
        if self._is_closed:
            self._lost += 1
            _log.error("audit_records_lost", count=1)
            return
        self._queue.append(entry)
        self._recorded += 1
        if not self._weight:
            self._oldest = self._clock.monotonic()
        self._weight = total = self._weight + weight
        if total >= self._policy.queue:
            self._is_full = True
        if total >= EAGER:
            self._wake.set()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._policy.flush_interval, self._wake.set)

    def _captured(self, completed: Completed, weight: int) -> tuple[_Entry, int]:
        body: Any = None
        try:
            body = completed.body() if completed.body is not None else None
        except Exception as error:  # noqa: BLE001 - no body keeps its call out of the trail
            _log.error("audit_body_odd", error=type(error).__name__)
            body = {"unreadable": type(error).__name__}
        fragment = body_within(body, self._redaction, self._policy.capture_bytes)
        return _Captured(completed, fragment), weight + self._policy.capture_bytes // BODY_UNIT

    def _is_summed(self, completed: Completed) -> bool:
        # While records cannot be written, refusals of any kind must not pile up: they ask for no room.
        if not self._is_full and completed.code not in SUMMED:
            return False
        if self._floods.is_single(completed, is_full=self._is_full):
            return False
        self._summed += 1
        if self._window is None:
            self._window = asyncio.get_running_loop().call_later(WINDOW, self._close_window)
        return True

    def _close_window(self) -> None:
        self._window = None
        if self._is_full:  # the sums grow in place until there is room
            self._window = asyncio.get_running_loop().call_later(WINDOW, self._close_window)
        else:
            self._take_sums()

    def _take_sums(self) -> None:
        for summed in self._floods.take(self._redaction):
            self._add(summed, 1)

    async def _wait_for_room(self) -> None:
        while self._is_full:
            room = asyncio.get_running_loop().create_future()
            self._rooms.add(room)
            try:
                await room
            finally:
                self._rooms.discard(room)

    async def _wait_or_refuse(self) -> None:
        try:
            async with asyncio.timeout(self._policy.failure_grace):
                await self._wait_for_room()
        except (TimeoutError, Unavailable):
            self._refused += 1
            raise _unwritable() from None

    async def _flushed(self) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters[waiter] = self._recorded
        self._wake.set()
        try:
            await waiter
        finally:
            self._waiters.pop(waiter, None)

    async def _write_forever(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            # What comes meanwhile has its own timer: to write it at once would make a commit of every few records.
            due = self._recorded
            while self._written < due:
                await self._write_batch()

    async def _write_batch(self) -> None:
        began, weight = self._clock.monotonic(), 0
        batch: list[_Entry] = []
        while self._queue and weight < BATCH:
            entry = self._queue.popleft()
            batch.append(entry)
            weight += self._weight_of(entry)
        await self._deliver(await self._payloads(batch, weight))
        self._weight -= weight
        self._written += len(batch)
        self._oldest = began  # what waits now came later, or nearly so if there was more than one batch
        self._health_changed()
        self._release_waiters()

    async def _payloads(self, batch: Sequence[_Entry], weight: int) -> list[Payload]:
        if weight >= LARGE:
            with suppress(RuntimeError):  # no thread can be had
                return await asyncio.to_thread(self._rendered, batch)
        return self._rendered(batch)

    async def _deliver(self, payloads: Sequence[Payload]) -> None:
        while True:
            try:
                return await self._delivery.deliver(payloads)
            except Exception as error:  # noqa: BLE001 - INVARIANT: nothing ends the one who writes, or takes a batch
                _log.error("audit_delivery_failed", error=type(error).__name__)
                await asyncio.sleep(FAILED_SECONDS)

    def _rendered(self, batch: Sequence[_Entry]) -> list[Payload]:
        return [self._render(entry) for entry in batch]

    def _render(self, entry: _Entry) -> Payload:
        if isinstance(entry, Payload):
            return entry
        completed, body = entry if isinstance(entry, _Captured) else (entry, None)
        try:
            return call_payload(completed, self._redaction, body)
        except Exception as error:  # noqa: BLE001 - one odd record must not hold up all others
            _log.error("audit_record_odd", error=type(error).__name__)
            call = completed.call
            return note_payload("odd", completed.started_at, request_id=repr(call.request_id), call=repr(call.method))

    def _weight_of(self, entry: _Entry) -> int:
        if isinstance(entry, Payload):
            return 1
        if isinstance(entry, _Captured):
            return (len(entry.completed.keys) or 1) + self._policy.capture_bytes // BODY_UNIT
        return len(entry.keys) or 1

    def _health_changed(self) -> None:
        """Look again whether calls can be admitted."""
        self._is_full = self._weight >= self._policy.queue or self._delivery.is_failing
        if not self._is_full:
            for room in self._rooms:
                _finish(room)
        elif self._delivery.is_failing and self._policy.on_failure == "refuse":
            for waiter in (*self._waiters, *self._rooms):
                _fail(waiter)

    def _release_waiters(self) -> None:
        for waiter, target in self._waiters.items():
            if target > self._written:
                break
            _finish(waiter)


def _finish(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _fail(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_exception(_unwritable())


def _unwritable() -> Unavailable:
    return Unavailable("the audit trail cannot be written now: try again later")
