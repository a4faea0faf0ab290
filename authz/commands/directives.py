"""Orders that hold for a time, as this process knows them. Polled from the datastore; read by `access` and `audit`.

An order issued or lifted here holds here at once, and for the next call of every worker of this host; on other hosts
within `POLL_SECONDS` and one query.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime

import orjson
import structlog

from authz.call import Origin
from authz.clock import Clock
from authz.commands.ids import new_id
from authz.errors import AuthzError, InvalidRequest
from authz.index.signal import DIRECTIVES, Signal
from authz.store.directives import Directive, DirectiveStore
from authz.tuples import JsonValue

POLL_SECONDS = 0.4
"""An order is effective everywhere within a second: this, one query, and some slack."""
PAGE = 1000
CLOCK_STEP = 1.0
"""Seconds by which the time of day may fall behind the monotonic clock before it counts as put back."""

REVOCATION, SUSPENSION, CAPTURE = "revocation", "suspension", "capture"

Subscriber = Callable[[Directive], None]
"""Told of every order of a kind, first when it begins and again when it is lifted.

It may be told of one twice, or of one that has ended before it was known. What it raises is logged as a bug.
"""

_log = structlog.get_logger(__name__)


class Directives:
    """The orders that hold now, by id. Used on the event loop only."""

    def __init__(self, store: DirectiveStore, clock: Clock, signal: Signal | None = None) -> None:
        self._store = store
        self._clock = clock
        self._signal = signal
        self._state = b""
        """What the signal said before the last refresh."""
        self._seen = 0
        self._lineage = store.lineage
        self._held: dict[str, Directive] = {}
        self._subscribers: dict[str, list[Subscriber]] = {}
        self._turn = asyncio.Lock()
        self._refreshed = float("-inf")
        self._is_refused = False
        self._lead = self._measure()

    @property
    def age(self) -> float:
        """Seconds since the datastore last told what holds; infinite before the first time."""
        return self._clock.monotonic() - self._refreshed

    @property
    def is_behind(self) -> bool:
        """Whether another worker of this host gave or lifted an order since the last refresh."""
        return self._signal is not None and self._signal.state(DIRECTIVES) != self._state

    async def catch_up(self) -> None:
        """Learn what the other workers of this host had ordered when this was called; they share one query who wait.

        Raises:
            Unavailable: the datastore does not answer: it is not known what holds.

        """
        async with self._turn:
            if self.is_behind:
                await self._refresh()

    def subscribe(self, kind: str, subscriber: Subscriber) -> None:
        """Tell `subscriber` of every order of a kind: those that hold already at once, others when they are known."""
        self._subscribers.setdefault(kind, []).append(subscriber)
        for directive in self.current(kind):
            _tell(subscriber, directive)

    def current(self, kind: str = "") -> list[Directive]:
        """The orders that hold now, in the order in which they were given; of one kind if given."""
        now = self._clock.now()
        holding = [each for each in self._held.values() if kind in ("", each.kind) and holds(each, now)]
        return sorted(holding, key=lambda each: each.version)

    async def issue(
        self, kind: str, body: JsonValue, *, by: Origin, reason: str = "", expires_at: datetime | None = None
    ) -> Directive:
        """Give an order. It holds here when this returns.

        Raises:
            InvalidRequest: the body cannot be stored as JSON.
            Unavailable: the datastore does not answer; the order may have been given or not.

        """
        now = self._clock.now()
        try:
            text = orjson.dumps(body).decode()
        except orjson.JSONEncodeError as error:
            raise InvalidRequest(f"the body of the {kind} cannot be stored as JSON") from error
        directive = Directive(new_id(now), kind, text, reason, by.principal, now, expires_at)
        return await asyncio.shield(self._add(directive, by))

    async def lift(self, directive_id: str, *, by: Origin) -> Directive | None:
        """End an order; None when there is none that could be ended.

        Raises:
            Unavailable: the datastore does not answer; the order may have been lifted or not.

        """
        return await asyncio.shield(self._lift(directive_id, by))

    async def refresh(self) -> None:
        """Learn what other processes ordered.

        Raises:
            Unavailable: the datastore does not answer; what was known still holds.

        """
        async with self._turn:
            await self._refresh()

    async def follow_forever(self) -> None:
        """Refresh every `POLL_SECONDS` until cancelled; a datastore that does not answer is asked again."""
        while True:
            try:
                await self.refresh()
            except AuthzError as error:
                if not self._is_refused:
                    _log.warning("directives_not_refreshed", reason=error.reason, message=error.message)
                self._is_refused = True
            else:
                if self._is_refused:
                    _log.info("directives_refreshed")
                self._is_refused = False
            await asyncio.sleep(POLL_SECONDS)

    async def _refresh(self) -> None:
        self._watch_clock()
        lineage = self._watch_server()
        state = b"" if self._signal is None else self._signal.state(DIRECTIVES)
        while True:
            started = self._clock.monotonic()
            page = await self._store.directives_after(self._seen, limit=PAGE)
            if self._store.lineage != lineage:
                return  # some of it may be of the server before: the next refresh begins anew
            self._apply(page)
            self._seen = max([self._seen, *(each.version for each in page)])
            if len(page) < PAGE:
                break
        self._refreshed, self._state = started, state
        self._forget()

    async def _add(self, directive: Directive, by: Origin) -> Directive:
        # To its end, even when its caller goes away: what is committed must be known here, and told.
        stored = await self._store.add_directive(directive, by=by)
        self._take_in(stored)
        return stored

    async def _lift(self, directive_id: str, by: Origin) -> Directive | None:
        lifted = await self._store.lift_directive(directive_id, self._clock.now(), by=by)
        if lifted is not None:
            self._take_in(lifted)
        return lifted

    def _take_in(self, directive: Directive) -> None:
        if self._signal is not None:
            self._signal.raise_(DIRECTIVES)
        self._watch_server()
        # All up to the version seen has come by the poll already; what is no longer held has ended since.
        if directive.version > self._seen:
            self._apply([directive])

    def _apply(self, directives: Iterable[Directive]) -> None:
        # INVARIANT: an order issued here may come again by the poll, and never replaces what is known to be newer.
        for directive in directives:
            known = self._held.get(directive.id)
            if known is not None and known.version >= directive.version:
                continue
            self._held[directive.id] = directive
            for subscriber in self._subscribers.get(directive.kind, ()):
                _tell(subscriber, directive)

    def _watch_server(self) -> int:
        lineage = self._store.lineage
        if lineage != self._lineage:
            # Versions begin again where the new server is: read everything. What it has lost goes on holding here.
            self._lineage, self._seen = lineage, 0
            self._held = {id_: directive._replace(version=0) for id_, directive in self._held.items()}
        return lineage

    def _watch_clock(self) -> None:
        # What was forgotten as expired may hold again once the clock is put back: ask for everything.
        lead = self._measure()
        if lead < self._lead - CLOCK_STEP:
            self._seen = 0
        self._lead = lead

    def _measure(self) -> float:
        return self._clock.now().timestamp() - self._clock.monotonic()

    def _forget(self) -> None:
        now = self._clock.now()
        for ended in [each.id for each in self._held.values() if not holds(each, now)]:
            del self._held[ended]


def holds(directive: Directive, now: datetime) -> bool:
    """Whether an order is neither lifted nor expired."""
    return directive.lifted_at is None and (directive.expires_at is None or directive.expires_at > now)


def _tell(subscriber: Subscriber, directive: Directive) -> None:
    try:
        subscriber(directive)
    except Exception as error:  # noqa: BLE001 - one that cannot read an order must not keep others from hearing of it
        _log.error("directive_not_taken", directive=directive.id, kind=directive.kind, exc_info=error)
