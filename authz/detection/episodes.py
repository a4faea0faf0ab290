"""From readings to deviations: when one begins, worsens, lasts and ends. Used by the detector.

An episode ends when its reading has stayed below half of the threshold for `CALM_SECONDS`. One that returns within
`RETURN_SECONDS` goes on: it is answered again, and alerted about again only if it is worse or when a reminder is due.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from authz.detection.deviation import Deviation, Phase
from authz.detection.judge import Reading
from authz.detection.learning import RECURRENCE, forget_present, learn_from
from authz.detection.profile import SLOW, Episode, Profile
from authz.settings.detection import Severity

CALM_PART = 0.5
CALM_SECONDS = 120.0
RETURN_SECONDS = 600.0
LASTING_SECONDS = 60.0
"""Every how many seconds one that lasts is told, so that what was done about it is renewed."""
ACCEPT_SECONDS = 86_400.0
"""After a day it is the new usual: whoever had something against it has had the time."""


class Times(NamedTuple):
    """Both clocks at one tick."""

    now: float
    wall: datetime


class Episodes:
    """The rules; the episodes are in the profiles."""

    def __init__(self, *, factor: float, reminder: float) -> None:
        self._recurrence = RECURRENCE / factor
        self._reminder = reminder

    def follow(self, profile: Profile, reading: Reading, times: Times) -> Deviation | None:
        """What a reading changes, if anything is to be told."""
        episode = profile.episodes.get(reading.kind)
        if reading.is_over:
            return self._over(profile, episode, reading, times)
        if episode is None:
            return None
        if episode.ended is not None:
            if times.now - episode.ended >= RETURN_SECONDS:
                del profile.episodes[reading.kind]
            return None
        return self._calming(profile, episode, reading, times)

    def _over(self, profile: Profile, episode: Episode | None, reading: Reading, times: Times) -> Deviation | None:
        now = times.now
        if episode is None:
            episode = Episode(reading.severity, now, now, now, now)
            profile.episodes[reading.kind] = episode
            forget_present(profile)
            _keep_peaks(episode, reading)
            return _told(profile, episode, reading, times, Phase.BEGAN)
        is_back, episode.ended = episode.ended is not None, None
        if is_back:
            forget_present(profile)
        episode.over = now
        _keep_peaks(episode, reading)
        if reading.severity is Severity.CRITICAL and episode.severity is not Severity.CRITICAL:
            episode.severity, episode.alerted = reading.severity, now
            return _told(profile, episode, reading, times, Phase.WORSENED)
        if now - episode.began >= ACCEPT_SECONDS:
            return self._end(profile, episode, reading, times, weight=1.0)
        return (
            self._lasting(profile, episode, reading, times)
            if not is_back
            else self._again(profile, episode, reading, times)
        )

    def _lasting(self, profile: Profile, episode: Episode, reading: Reading, times: Times) -> Deviation | None:
        if times.now - episode.told < LASTING_SECONDS:
            return None
        return self._again(profile, episode, reading, times)

    def _again(self, profile: Profile, episode: Episode, reading: Reading, times: Times) -> Deviation:
        is_reminder = times.now - episode.alerted >= self._reminder
        if is_reminder:
            episode.alerted = times.now
        return _told(profile, episode, reading, times, Phase.LASTS, is_reminder=is_reminder)

    def _calming(self, profile: Profile, episode: Episode, reading: Reading, times: Times) -> Deviation | None:
        if reading.observed > CALM_PART * reading.threshold:
            episode.over = times.now
            _keep_peaks(episode, reading)
        if times.now - episode.over < CALM_SECONDS:
            return None
        return self._end(profile, episode, reading, times, weight=self._recurrence)

    def _end(self, profile: Profile, episode: Episode, reading: Reading, times: Times, *, weight: float) -> Deviation:
        episode.ended = times.now
        learn_from(profile, reading.kind, episode, times.now, weight=weight)
        return _told(profile, episode, reading, times, Phase.ENDED)


def _told(
    profile: Profile, episode: Episode, reading: Reading, times: Times, phase: Phase, *, is_reminder: bool = False
) -> Deviation:
    episode.told = times.now
    return Deviation(
        profile.id,
        reading.kind,
        round(reading.observed, 3),
        round(reading.expected, 3),
        episode.severity,
        times.wall,
        phase,
        is_reminder,
        profile.usual[SLOW],
    )


def _keep_peaks(episode: Episode, reading: Reading) -> None:
    for measure, value in reading.peaks:
        episode.peaks[measure] = max(episode.peaks.get(measure, 0.0), value)
