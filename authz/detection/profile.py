"""What is remembered of one principal: counters since the last tick, and what is usual for it. Kept by `population`."""

from __future__ import annotations

from dataclasses import dataclass, field

from authz.detection.habits import Addresses, Hours
from authz.settings.detection import Kind, Severity

FAST, SLOW, DENIED, REFUSED, TOUCHED = range(5)
"""The measures: questions per second over seconds and over a minute; of a minute, the denied questions, the distinct
denied objects, the distinct objects."""
MEASURES = 5

ESTABLISHED_TICKS = 10
"""In how many ticks a principal must have been seen before anything is said about it."""
ESTABLISHED_SECONDS = 60.0


@dataclass(slots=True)
class Episode:
    """A deviation that lasts, or ended so lately that its return is no news."""

    severity: Severity
    began: float
    told: float
    """When it was told last, by the monotonic clock."""
    alerted: float
    """When it was last worth an alert."""
    over: float
    """When behaviour was last as unusual as this."""
    ended: float | None = None
    peaks: dict[int, float] = field(default_factory=dict)
    """The most that its measures showed."""


class Profile:
    """One principal. The detector adds to the first group on the path of a call; the rest changes in ticks only."""

    __slots__ = (
        "addresses",
        "born",
        "candidates",
        "earlier",
        "episodes",
        "fast",
        "folded",
        "hot_fast",
        "hot_slow",
        "hours",
        "id",
        "is_established",
        "peer",
        "peers",
        "pending",
        "ratio",
        "refused",
        "said",
        "slow",
        "taught",
        "ticks",
        "touched",
        "updated",
        "usual",
        "window_denied",
        "window_questions",
        "window_started",
    )

    def __init__(self, principal: str, now: float) -> None:
        self.id = principal
        self.pending = 0
        """Questions since the last tick; not 0 while the profile waits for its tick."""
        self.window_denied = 0
        self.refused: bytearray | None = None
        """A sketch of the window's denied objects; None while there is none."""
        self.touched: bytearray | None = None
        """A sketch of the window's other objects."""
        self.peer = ""
        self.peers: set[str] = set()
        """From where it called since the last tick."""

        self.born = now
        self.updated = now
        self.is_established = False
        """Whether enough was seen to say what is usual; set when that became known."""
        self.ticks = 0
        """In how many ticks it was seen; counts to `ESTABLISHED_TICKS` only."""
        self.fast = 0.0
        self.slow = 0.0
        self.hot_fast = 0.0
        self.hot_slow = 0.0
        """How often each rate was unusual of late; cools with time."""
        self.window_started = now
        self.window_questions = 0
        self.usual = [0.0] * MEASURES
        self.candidates = [0.0] * MEASURES
        """The most of each measure since it was last folded into the usual."""
        self.earlier = [0.0] * MEASURES
        """The candidates before those: what is folded next is not of the present."""
        self.folded = now
        self.ratio = 0.0
        """The usual part of questions that are denied."""
        self.taught: dict[Kind, float] = {}
        """When an episode last changed what is usual."""
        self.hours: Hours | None = None
        self.addresses: Addresses | None = None
        self.episodes: dict[Kind, Episode] = {}
        self.said: dict[Kind, float] = {}
        """When something momentary was last told."""

    @property
    def is_deviating(self) -> bool:
        """Whether something unusual lasts; nothing is learned then."""
        return any(episode.ended is None for episode in self.episodes.values())
