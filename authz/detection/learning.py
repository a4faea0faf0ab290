"""Bring a profile up to date at a tick, and let it learn what is usual. Called by the detector."""

from __future__ import annotations

import math
from typing import NamedTuple

from authz.detection.profile import (
    DENIED,
    ESTABLISHED_SECONDS,
    ESTABLISHED_TICKS,
    FAST,
    MEASURES,
    REFUSED,
    SLOW,
    TOUCHED,
    Episode,
    Profile,
)
from authz.detection.sketch import estimate
from authz.settings.detection import DetectionSettings, Kind

FAST_SECONDS, SLOW_SECONDS = 3.0, 60.0
"""Over how long each rate is averaged, exponentially weighted."""
WINDOW_SECONDS = 60.0
"""Over how long denied questions and distinct objects are counted."""

LEARNING_FOLD, FOLD = 60.0, 600.0
"""How often the most that was seen becomes part of what is usual: at first, and later. The delay keeps the beginning of
a burst from making the rest of it usual."""
RISE = 0.2
"""How far the usual moves towards a higher value at each fold: growth by half in ten minutes never surprises, while a
jump must come in many small steps."""
FORGET_SECONDS = 7 * 86_400.0
"""In which time the usual falls to 37 % when it is not reached: nights and weekends are short beside it."""
RECURRENCE = 0.4
"""How far an episode moves the usual, divided by the factor: a burst that recurs is usual from its third return on."""
RECURRENCE_SECONDS = 2700.0
"""Episodes that follow each other sooner teach nothing."""
COOLING = (0.25, 1 / 60)
"""By how much a second a rate that was hot cools."""
RATIO_RISE = 0.1
RATIO_QUESTIONS = 20

MEASURES_OF = {
    Kind.RATE: (FAST, SLOW),
    Kind.DENIALS: (DENIED,),
    Kind.ENUMERATION: (REFUSED,),
    Kind.OBJECTS: (TOUCHED,),
}


class Moment(NamedTuple):
    """One tick, for all profiles."""

    now: float
    """By the monotonic clock."""
    seconds: float
    """Since the tick before."""
    keep_fast: float
    """What is left of a rate after these seconds."""
    keep_slow: float

    @classmethod
    def of(cls, now: float, seconds: float) -> Moment:
        """The tick at `now`, `seconds` after the one before."""
        return cls(now, seconds, math.exp(-seconds / FAST_SECONDS), math.exp(-seconds / SLOW_SECONDS))


class Norms(NamedTuple):
    """From where on behaviour is unusual, by measure."""

    floors: tuple[float, ...]
    """What is never unusual, in the order of the measures."""
    factor: float

    @classmethod
    def of(cls, settings: DetectionSettings, workers: int) -> Norms:
        """The norms of one of `workers` processes.

        A caller may keep to one worker or spread over all, so that the floors lie between the whole and its share.
        """
        part = 1 / math.sqrt(max(workers, 1))
        floors = (
            settings.burst_rate,
            settings.sustained_rate,
            settings.denials,
            settings.denied_objects,
            settings.objects,
        )
        return cls(tuple(floor * part for floor in floors), settings.factor)

    def threshold(self, profile: Profile, measure: int, factor: float) -> float:
        """From where on a measure of a principal is unusual, at a factor."""
        return max(self.floors[measure], factor * profile.usual[measure])


def advance(profile: Profile, moment: Moment) -> float:
    """Take the questions since the last tick into the rates; returns the rate of just this tick."""
    now, seconds, keep_fast, keep_slow = moment
    silent = now - seconds - profile.updated
    if silent > 0:
        profile.fast *= math.exp(-silent / FAST_SECONDS)
        profile.slow *= math.exp(-silent / SLOW_SECONDS)
    if profile.hot_fast or profile.hot_slow:
        passed = now - profile.updated
        profile.hot_fast = max(0.0, profile.hot_fast - passed * COOLING[FAST])
        profile.hot_slow = max(0.0, profile.hot_slow - passed * COOLING[SLOW])
    questions = profile.pending
    present = questions / seconds
    profile.fast = present + (profile.fast - present) * keep_fast
    profile.slow = present + (profile.slow - present) * keep_slow
    profile.window_questions += questions
    profile.pending = 0
    profile.updated = now
    if questions and profile.ticks < ESTABLISHED_TICKS:
        profile.ticks += 1
    return present


def fold(profile: Profile, norms: Norms, now: float, learning: float) -> None:
    """Make what was seen part of what is usual, when it is time. Before `advance`, so that the present stays out.

    `learning`: for how many seconds all of what is seen is usual.
    """
    passed = now - profile.folded
    is_learning = not profile.is_established or profile.folded - profile.born < learning
    if passed < (LEARNING_FOLD if is_learning else FOLD):
        return
    keep = math.exp(-passed / FORGET_SECONDS)
    usual, earlier, candidates = profile.usual, profile.earlier, profile.candidates
    if not profile.is_established or now - profile.updated >= FOLD:  # nothing of it is of the present
        earlier = [max(pair) for pair in zip(earlier, candidates, strict=True)]
    for measure in range(MEASURES):
        seen, known = earlier[measure], usual[measure]
        if seen <= known:
            usual[measure] = max(seen, known * keep)
        elif is_learning:
            usual[measure] = seen
        else:
            most = min(seen, norms.threshold(profile, measure, norms.factor))
            usual[measure] = known + RISE * max(most - known, 0.0)
    profile.earlier, profile.candidates = candidates, [0.0] * MEASURES
    profile.folded = now
    # INVARIANT: whoever is judged has a usual that holds all that it did until it was known well enough.
    if profile.ticks >= ESTABLISHED_TICKS and now - profile.born >= ESTABLISHED_SECONDS:
        profile.is_established = True


def remember(profile: Profile) -> None:
    """Keep the rates if they are the highest since the last fold."""
    candidates = profile.candidates
    candidates[FAST] = max(candidates[FAST], profile.fast)
    candidates[SLOW] = max(candidates[SLOW], profile.slow)


def end_window(profile: Profile, now: float, *, is_learning: bool) -> None:
    """Begin to count anew, keeping the counts if they are the highest since the last fold."""
    if now - profile.window_started < WINDOW_SECONDS:
        return
    if profile.window_questions and not profile.is_deviating:
        _remember_window(profile, is_learning=is_learning)
    profile.window_started = now
    profile.window_questions = profile.window_denied = 0
    profile.refused = profile.touched = None


def refused_objects(profile: Profile) -> float:
    """About how many distinct objects were denied in this window."""
    return 0.0 if profile.refused is None else estimate(profile.refused)


def touched_objects(profile: Profile) -> float:
    """About how many distinct objects were asked about in this window."""
    return estimate(*(bits for bits in (profile.refused, profile.touched) if bits is not None))


def forget_present(profile: Profile) -> None:
    """Let nothing that was seen lately become usual: it led up to something unusual."""
    profile.earlier, profile.candidates = [0.0] * MEASURES, [0.0] * MEASURES


def learn_from(profile: Profile, kind: Kind, episode: Episode, now: float, *, weight: float) -> None:
    """Take an episode that is over as a little of what is usual, so that what recurs is not told for ever."""
    if weight < 1 and now - profile.taught.get(kind, -math.inf) < RECURRENCE_SECONDS:
        return
    profile.taught[kind] = now
    for measure in MEASURES_OF.get(kind, ()):
        seen, known = episode.peaks.get(measure, 0.0), profile.usual[measure]
        if seen > known:
            profile.usual[measure] = known + weight * (seen - known)


def _remember_window(profile: Profile, *, is_learning: bool) -> None:
    candidates = profile.candidates
    counts = ((DENIED, float(profile.window_denied)), (REFUSED, refused_objects(profile)))
    for measure, count in (*counts, (TOUCHED, touched_objects(profile))):
        candidates[measure] = max(candidates[measure], count)
    if profile.window_questions >= RATIO_QUESTIONS:
        ratio = profile.window_denied / profile.window_questions
        profile.ratio += (0.5 if is_learning else RATIO_RISE) * (ratio - profile.ratio)
