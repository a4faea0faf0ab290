"""Notice principals that behave unlike themselves. Told of every call by the edge, ticked by `watch`.

What is known is in the memory of this process: it is forgotten at a restart, and each worker knows what it saw itself.
"""

from __future__ import annotations

from collections.abc import Generator
from datetime import datetime, timedelta

import structlog

from authz.call import Completed
from authz.clock import Clock
from authz.detection.deviation import Deviation, Phase
from authz.detection.episodes import Episodes, Times
from authz.detection.habits import Addresses, Hours
from authz.detection.judge import Judge
from authz.detection.learning import Moment, Norms, advance, end_window, fold, remember
from authz.detection.population import Population
from authz.detection.profile import SLOW, Profile
from authz.detection.sketch import BYTES
from authz.settings.detection import DetectionSettings, Kind, Severity

MIN_TICK_SECONDS = 0.1
"""Two ticks that are nearer are one: a rate over so short a time says nothing."""
SLICE = 200
"""How many principals are looked at before the event loop gets its turn."""
MAX_PEERS_PER_TICK = 8
JUMP_SECONDS = 120.0
"""By how much the clocks must disagree for the hours of use to be worth nothing."""

_OK, _DENIED, _UNKNOWN = "OK", "PERMISSION_DENIED", "UNAUTHENTICATED"
_MASK = BYTES - 1

_log = structlog.get_logger(__name__)


class Detector:
    """Baselines of at most `max_principals` principals. Used on the event loop only."""

    def __init__(self, settings: DetectionSettings, clock: Clock, *, workers: int = 1) -> None:
        self._clock = clock
        self._learning = settings.learning
        self._reminder = settings.reminder
        self._norms = Norms.of(settings, workers)
        self._judge = Judge(self._norms)
        self._episodes = Episodes(factor=settings.factor, reminder=settings.reminder)
        self._population = Population(settings.max_principals)
        self._profiles = self._population.profiles
        self._active: dict[str, Profile] = {}
        self._watched: dict[str, Profile] = {}
        """Those with an episode, which may end while they are silent."""
        self._now = clock.monotonic()
        self._wall = clock.now()
        self._flood = _Flood(self._population.newcomer_capacity, self._now)

    @property
    def principals(self) -> int:
        """How many principals are remembered now."""
        return len(self._population)

    def observe(self, completed: Completed) -> None:
        """Count a call that has ended. On the path of every call: counters and one bit a key, no clock, no log."""
        code = completed.code
        if code == _UNKNOWN:
            return
        call = completed.call
        who = call.principal.id
        profile = self._profiles.get(who)
        if profile is None:
            profile = self._admit(who)
        keys = completed.keys
        if not profile.pending:
            self._active[who] = profile
        if len(keys) > 1:
            _observe_batch(profile, completed)
        else:
            profile.pending += 1
            if code == _OK:
                if keys:
                    decisions = completed.decisions
                    _touch(profile, keys[0].object, is_denied=bool(decisions) and decisions[0] is False)
            elif code == _DENIED:
                # the store is what was refused; a principal that looks for stores is seen by how many it tries
                _touch(profile, completed.store_id, is_denied=True)
        peer = call.peer
        if peer != profile.peer:
            profile.peer = peer
            if len(profile.peers) < MAX_PEERS_PER_TICK:
                profile.peers.add(peer)

    def tick(self) -> list[Deviation]:
        """Compare everybody active since the last tick with what is usual; returns what is to be told."""
        return [deviation for found in self.sweep() for deviation in found]

    def sweep(self) -> Generator[list[Deviation], None, None]:
        """A tick in slices of `SLICE` principals, so that the event loop may have its turn between them."""
        now, wall = self._clock.monotonic(), self._clock.now()
        seconds = now - self._now
        if seconds < MIN_TICK_SECONDS:
            return
        self._notice_jump(wall, seconds)
        self._now, self._wall = now, wall
        moment, times = Moment.of(now, seconds), Times(now, wall)
        # INVARIANT: whoever calls while this runs is in the new table, or is still to come in the old one.
        due, self._active = {**self._watched, **self._active}, {}
        found: list[Deviation] = self._flood.look(self._population.displaced, times)
        try:
            while due:
                who, profile = due.popitem()
                if self._profiles.get(who) is profile:
                    found += self._looked(profile, moment, times)
                if len(due) % SLICE == 0:
                    yield found
                    found = []
        finally:
            self._active.update(due)  # of a tick that did not come to its end
        yield found

    def _looked(self, profile: Profile, moment: Moment, times: Times) -> list[Deviation]:
        """As `_look`; a profile that breaks it is forgotten, as otherwise nobody would look at it again."""
        try:
            return self._look(profile, moment, times)
        except Exception as error:  # noqa: BLE001 - one principal must not hide the others
            _log.error("detection_failed", principal=profile.id, exc_info=error)
            self._population.forget(profile)
            self._forget(profile)
            return []

    def _look(self, profile: Profile, moment: Moment, times: Times) -> list[Deviation]:
        now, questions = times.now, profile.pending
        is_learning = not profile.is_established or now - profile.born < self._learning
        end_window(profile, now, is_learning=is_learning)
        is_deviating = profile.is_deviating
        if not is_deviating:
            fold(profile, self._norms, now, self._learning)
        present = advance(profile, moment)
        if questions:
            self._forget(self._population.seen(profile, now))
        if not is_deviating:
            remember(profile)
        if not profile.is_established:
            return []
        found = self._momentary(profile, questions, times) if questions else []
        if profile.episodes or not self._judge.is_quiet(profile):
            for reading in self._judge.readings(profile, present, is_learning=is_learning):
                deviation = self._episodes.follow(profile, reading, times)
                if deviation is not None:
                    found.append(deviation)
            self._watch(profile)
        return found

    def _watch(self, profile: Profile) -> None:
        if profile.episodes:
            self._watched[profile.id] = profile
        else:
            self._watched.pop(profile.id, None)

    def _momentary(self, profile: Profile, questions: int, times: Times) -> list[Deviation]:
        """What has no length: an hour, an address."""
        found = []
        if profile.hours is None or profile.addresses is None:
            profile.hours, profile.addresses = Hours(), Addresses(times.now)
        if profile.hours.note(times.wall, questions):
            found.append(self._said(profile, Kind.HOURS, times, {"hour": times.wall.hour}))
        if profile.peers:
            network = profile.addresses.note(profile.peers, times.now)
            profile.peers.clear()
            if network:
                found.append(self._said(profile, Kind.ADDRESS, times, {"network": network}))
        return [deviation for deviation in found if deviation is not None]

    def _said(self, profile: Profile, kind: Kind, times: Times, details: dict[str, str | int]) -> Deviation | None:
        if times.now - profile.said.get(kind, float("-inf")) < self._reminder:
            return None
        profile.said[kind] = times.now
        rate = profile.usual[SLOW]
        return Deviation(profile.id, kind, 1, 0, Severity.WARNING, times.wall, usual_rate=rate, details=details)

    def _admit(self, who: str) -> Profile:
        profile, gone = self._population.admit(who, self._now)
        self._forget(gone)
        return profile

    def _forget(self, gone: Profile | None) -> None:
        if gone is not None:
            self._active.pop(gone.id, None)
            self._watched.pop(gone.id, None)

    def _notice_jump(self, wall: datetime, seconds: float) -> None:
        """A wall clock that was set makes the hours of use worthless; they are learned anew. Rates never see it."""
        if abs((wall - self._wall - timedelta(seconds=seconds)).total_seconds()) < JUMP_SECONDS:
            return
        _log.warning("clock_jumped", before=self._wall.isoformat(), after=wall.isoformat(), seconds=round(seconds, 3))
        for profile in self._profiles.values():
            profile.hours = None


class _Flood:
    """Whether newcomers come and go so fast that none of them can be watched."""

    def __init__(self, capacity: int, now: float) -> None:
        self._capacity = capacity
        self._since, self._before, self._told = now, 0, float("-inf")

    def look(self, displaced: int, times: Times) -> list[Deviation]:
        """Compare with what went before, once a minute; told at most once an hour."""
        if times.now - self._since < 60:
            return []
        count, self._before, self._since = displaced - self._before, displaced, times.now
        if count <= self._capacity or times.now - self._told < 3600:
            return []
        self._told = times.now
        return [Deviation("", Kind.PRINCIPALS, count, self._capacity, Severity.WARNING, times.wall, Phase.BEGAN)]


def _observe_batch(profile: Profile, completed: Completed) -> None:
    """Count the items of a batch; those that failed were asked nevertheless."""
    keys = completed.keys
    profile.pending += len(keys)
    if completed.code == _DENIED:
        _touch(profile, completed.store_id, is_denied=True)
        return
    if completed.code != _OK:
        return
    touched = profile.touched
    if touched is None:
        touched = profile.touched = bytearray(BYTES)
    refused = profile.refused
    denied = 0
    for key, decision in zip(keys, completed.decisions, strict=False):
        number = hash(key.object)
        if decision is False:
            denied += 1
            if refused is None:
                refused = profile.refused = bytearray(BYTES)
            refused[(number >> 3) & _MASK] |= 1 << (number & 7)
        else:
            touched[(number >> 3) & _MASK] |= 1 << (number & 7)
    profile.window_denied += denied


def _touch(profile: Profile, name: str, *, is_denied: bool) -> None:
    """Note one object, or a store that is refused; an empty name is none."""
    if is_denied:
        profile.window_denied += 1
        bits = profile.refused
        if bits is None:
            bits = profile.refused = bytearray(BYTES)
    else:
        bits = profile.touched
        if bits is None:
            bits = profile.touched = bytearray(BYTES)
    if name:
        number = hash(name)
        bits[(number >> 3) & _MASK] |= 1 << (number & 7)
