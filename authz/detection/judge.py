"""Compare what a principal does with what is usual for it. Called by the detector for every active principal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from authz.detection.learning import Norms, refused_objects, touched_objects
from authz.detection.profile import DENIED, FAST, REFUSED, SLOW, TOUCHED, Profile
from authz.settings.detection import Kind, Severity

LEARNING_CAUTION = 3.0
"""How many times the factor is unusual while a principal is new."""
HOT = 1.5
"""How hot a rate must be to be told: unusual in two seconds near each other, as one page may ask a hundred questions at
once. How near: `learning.COOLING`."""
HOTTEST = 2.0
"""No rate gets hotter, so that it is over soon after it was hot last."""
EXTREME = 10.0
"""How many times the threshold is told at once."""
CRITICAL_RATE, CRITICAL_COUNT = 2.0, 3.0
"""How many times the threshold is critical."""
MIN_RATIO = 0.5


class Reading(NamedTuple):
    """One kind of behaviour, measured."""

    kind: Kind
    observed: float
    expected: float
    threshold: float
    """From where on it is unusual."""
    is_over: bool
    severity: Severity
    peaks: tuple[tuple[int, float], ...]
    """The measures behind it."""


class Judge:
    """Compares by the norms of one process."""

    def __init__(self, norms: Norms) -> None:
        self._norms = norms
        self._fast, self._slow, self._denied, self._refused, self._touched = norms.floors
        self._count = min(norms.floors[DENIED:])

    def is_quiet(self, profile: Profile) -> bool:
        """Whether a principal does so little that nothing can be unusual. Cheap: asked every tick of everybody."""
        return profile.window_questions <= self._count and profile.fast <= self._fast and profile.slow <= self._slow

    def readings(self, profile: Profile, present: float, *, is_learning: bool) -> Iterator[Reading]:
        """Every kind that is over its floor, or was lately. `present` is the rate of this tick alone."""
        factor = self._norms.factor * (LEARNING_CAUTION if is_learning else 1.0)
        lately, denied = profile.episodes, profile.window_denied
        yield self._rate(profile, present, factor)
        if denied > self._denied or Kind.DENIALS in lately:
            yield self._denials(profile, factor)
        if denied > self._refused or Kind.ENUMERATION in lately:
            yield self._counted(Kind.ENUMERATION, REFUSED, refused_objects(profile), profile, factor)
        if profile.window_questions > self._touched or Kind.OBJECTS in lately:
            yield self._counted(Kind.OBJECTS, TOUCHED, touched_objects(profile), profile, factor)

    def _rate(self, profile: Profile, present: float, factor: float) -> Reading:
        thresholds = [self._norms.threshold(profile, measure, factor) for measure in (FAST, SLOW)]
        fast, slow = profile.fast / thresholds[FAST], profile.slow / thresholds[SLOW]
        if fast > 1 and present > thresholds[FAST]:
            profile.hot_fast = min(profile.hot_fast + 1, HOTTEST)
        if slow > 1 and present > thresholds[SLOW]:
            profile.hot_slow = min(profile.hot_slow + 1, HOTTEST)
        is_fast_over = fast > 1 and (profile.hot_fast >= HOT or fast >= EXTREME)
        is_slow_over = slow > 1 and profile.hot_slow >= HOT
        # of one that is only over in one measure, that one is told
        which = FAST if (is_fast_over, fast) >= (is_slow_over, slow) else SLOW
        observed = (profile.fast, profile.slow)[which]
        return Reading(
            Kind.RATE,
            observed,
            profile.usual[which],
            thresholds[which],
            is_fast_over or is_slow_over,
            _severity(max(fast * is_fast_over, slow * is_slow_over), CRITICAL_RATE),
            ((FAST, profile.fast), (SLOW, profile.slow)),
        )

    def _denials(self, profile: Profile, factor: float) -> Reading:
        reading = self._counted(Kind.DENIALS, DENIED, float(profile.window_denied), profile, factor)
        ratio = profile.window_denied / max(profile.window_questions, 1)
        is_high = ratio >= max(MIN_RATIO, (1 + profile.ratio) / 2)
        return reading._replace(is_over=reading.is_over and is_high)

    def _counted(self, kind: Kind, measure: int, observed: float, profile: Profile, factor: float) -> Reading:
        threshold = self._norms.threshold(profile, measure, factor)
        severity = _severity(observed / threshold, CRITICAL_COUNT)
        is_over = observed > threshold
        return Reading(kind, observed, profile.usual[measure], threshold, is_over, severity, ((measure, observed),))


def _severity(ratio: float, critical: float) -> Severity:
    return Severity.CRITICAL if ratio >= critical else Severity.WARNING
