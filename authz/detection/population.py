"""Which principals are remembered: those known for long are safe from floods of new ones. Used by the detector."""

from __future__ import annotations

from collections import OrderedDict

from authz.detection.profile import Profile

NEWCOMER_PART = 5
"""One in so many places is for newcomers."""
IDLE_SECONDS = 3600.0
"""How long an established principal must have been silent to give its place to another."""


class Population:
    """At most `capacity` profiles, newcomers and established ones.

    A newcomer displaces the newcomer silent for longest. It is promoted when its behaviour can be judged; then it takes
    the place of an established one only if that has been silent for long.
    """

    def __init__(self, capacity: int) -> None:
        self.newcomer_capacity = max(1, capacity // NEWCOMER_PART)
        self._established_capacity = max(1, capacity - self.newcomer_capacity)
        self._newcomers: OrderedDict[str, Profile] = OrderedDict()
        self._established: OrderedDict[str, Profile] = OrderedDict()
        self.profiles: dict[str, Profile] = {}
        """All of them, by principal."""
        self.displaced = 0
        """How many newcomers had to go for others so far."""

    def __len__(self) -> int:
        return len(self.profiles)

    def admit(self, principal: str, now: float) -> tuple[Profile, Profile | None]:
        """The profile of a principal that is not known yet, and the one that had to go for it, if any."""
        gone = None
        if len(self._newcomers) >= self.newcomer_capacity:
            _, gone = self._newcomers.popitem(last=False)
            del self.profiles[gone.id]
            self.displaced += 1
        profile = Profile(principal, now)
        self._newcomers[principal] = self.profiles[principal] = profile
        return profile, gone

    def forget(self, profile: Profile) -> None:
        """Let a principal be new again."""
        self.profiles.pop(profile.id, None)
        self._newcomers.pop(profile.id, None)
        self._established.pop(profile.id, None)

    def seen(self, profile: Profile, now: float) -> Profile | None:
        """Note that a principal was active; returns the one that lost its place to it, if any."""
        if profile.id in self._established:
            self._established.move_to_end(profile.id)
            return None
        if not profile.is_established:
            self._newcomers.move_to_end(profile.id)
            return None
        return self._promote(profile, now)

    def _promote(self, profile: Profile, now: float) -> Profile | None:
        gone = None
        if len(self._established) >= self._established_capacity:
            idlest = next(iter(self._established.values()))
            if now - idlest.updated < IDLE_SECONDS:
                self._newcomers.move_to_end(profile.id)
                return None
            gone = self._established.pop(idlest.id)
            del self.profiles[gone.id]
        del self._newcomers[profile.id]
        self._established[profile.id] = profile
        return gone
